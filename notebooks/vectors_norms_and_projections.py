# %% [markdown]
# # Vectors, norms and projections
#
# Lengths, angles and the nearest point of a plane: all of linear models, principal components and
# clusters is made of these. Each claim here is an `assert` below it: as a script,
# `python notebooks/vectors_norms_and_projections.py` is a test of this text. It needs mlmath with
# its extra `cli`.

# %%
# %matplotlib inline
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from mlmath.data import datasets
from mlmath.linalg import distances, matrix_norms, projections, rotations, vectors

jax.config.update("jax_enable_x64", True)  # so that "equal" below can mean ten digits
plt.rcParams["figure.dpi"] = 72

# %% [markdown]
# ## Inner product, length, angle
#
# $$\langle x, y\rangle = \sum_i x_i y_i, \qquad \|x\| = \sqrt{\langle x, x\rangle}, \qquad
#   \cos\theta = \frac{\langle x, y\rangle}{\|x\|\,\|y\|}.$$
#
# That the last is a cosine needs the inequality of Cauchy and Schwarz,
# $|\langle x, y\rangle| \le \|x\|\|y\|$. The triangle inequality follows from it, and the law of
# cosines is nothing but $\|x - y\|^2$ multiplied out.

# %%
keys = jax.random.split(jax.random.key(0), 3)
x, y = jax.random.normal(keys[0], (2, 5))
inner, length, angle = vectors.inner_product, vectors.norm, vectors.angle

assert abs(inner(x, y)) <= length(x) * length(y)
assert length(x + y) <= length(x) + length(y)
law = length(x) ** 2 + length(y) ** 2 - 2 * length(x) * length(y) * jnp.cos(angle(x, y))
assert jnp.allclose(length(x - y) ** 2, law)
assert jnp.allclose(
    length(x + y) ** 2 + length(x - y) ** 2, 2 * length(x) ** 2 + 2 * length(y) ** 2
)

# %% [markdown]
# On paper the angle is the arc cosine. In a computer that loses half of the digits where the
# cosine is flat, near 0: of an angle of $10^{-9}$ nothing is left. Kahan's formula compares two
# lengths instead and keeps them all. Nor may a square overflow on the way: $10^{200}$ is a number,
# and its square is not.

# %%
small = 1e-9
u, v = jnp.array([1.0, 0.0]), jnp.array([jnp.cos(small), jnp.sin(small)])
assert jnp.arccos(vectors.cosine(u, v)) == 0
assert jnp.allclose(angle(u, v), small, rtol=1e-10)

huge = jnp.array([3e200, 4e200])
assert jnp.isinf(jnp.sqrt(jnp.sum(huge**2)))
assert jnp.allclose(length(huge), 5e200)

# %% [markdown]
# ## Other lengths
#
# $$\|x\|_p = \Bigl(\sum_i |x_i|^p\Bigr)^{1/p}, \qquad \|x\|_\infty = \max_i |x_i|.$$
#
# The set of vectors of length 1 shows what a norm is fond of: that of $p = 1$ has its corners on
# the axes, which is why penalties of this kind set coefficients to exactly 0. The norms fall as $p$
# grows, and differ by no more than powers of the dimension.

# %%
orders = jnp.array([1.0, 1.3, 2.0, 4.0])
x = jax.random.normal(keys[1], (7,))
falling = jnp.array([*(vectors.p_norm(x, p) for p in orders), vectors.max_norm(x)])
assert (jnp.diff(falling) < 0).all()
assert falling[0] <= jnp.sqrt(7) * falling[2] <= 7 * falling[-1]
assert jnp.allclose(vectors.p_norm(x, 200.0), vectors.max_norm(x), rtol=0.01)

turns = jnp.linspace(0, 2 * jnp.pi, 401)
circle = jnp.stack([jnp.cos(turns), jnp.sin(turns)], axis=1)
_, ax = plt.subplots(figsize=(4, 4), layout="constrained")
for p in orders:
    ball = circle / jax.vmap(vectors.p_norm, (0, None))(circle, p)[:, None]
    assert jnp.allclose(jnp.sum(jnp.abs(ball) ** p, axis=1), 1)
    ax.plot(*ball.T, label=f"p = {p:g}")
ax.plot(*(circle / jax.vmap(vectors.max_norm)(circle)[:, None]).T, "k", label="p = ∞")
ax.set(aspect="equal", title="vectors of length 1", xlabel="x₁", ylabel="x₂")
ax.legend(frameon=False, fontsize=8, loc="center")
plt.show()

# %% [markdown]
# Only $p = 2$ comes from an inner product, because only it obeys the parallelogram law: the squares
# of both diagonals are the squares of all four sides. And a norm has a kink at 0, where a naive
# derivative is $0/0$; here it is the subgradient 0, so that a vector of zeros does not poison what
# is trained.

# %%
u, v = jnp.eye(2)


def gap(p):
    both = vectors.p_norm(u + v, p) ** 2 + vectors.p_norm(u - v, p) ** 2
    return both - 2 * vectors.p_norm(u, p) ** 2 - 2 * vectors.p_norm(v, p) ** 2


assert jnp.allclose(gap(2.0), 0)
assert all(abs(gap(p)) > 0.1 for p in (1.0, 1.5, 3.0))
assert jnp.isnan(jax.grad(lambda x: jnp.sqrt(jnp.sum(x**2)))(jnp.zeros(3))).all()
assert (jax.grad(length)(jnp.zeros(3)) == 0).all()
assert jnp.allclose(jax.grad(length)(x), x / length(x))

# %% [markdown]
# ## The nearest point
#
# The point of a line, or of the span of the columns of $A$, that is nearest to $x$ is its
# orthogonal projection $Px$:
#
# $$P = \hat v \hat v^\top \quad\text{or}\quad P = U U^\top, \qquad P^2 = P = P^\top,
#   \qquad x - Px \perp \text{the span}.$$
#
# The right angle makes it the nearest one, by Pythagoras: every other point $z$ of the span has
# $\|x - z\|^2 = \|x - Px\|^2 + \|Px - z\|^2$. Fitting by least squares is this projection of the
# targets on the columns.

# %%
A = jax.random.normal(keys[2], (6, 3))
x = jnp.arange(6.0)
near = projections.onto_columns(x, A)
P = jax.vmap(projections.onto_columns, (0, None))(jnp.eye(6), A).T
assert jnp.allclose(P @ x, near)
assert jnp.allclose(P @ P, P)
assert jnp.allclose(P, P.T)
assert jnp.allclose(jnp.trace(P), 3)  # the dimension of the span
assert jnp.allclose(A.T @ (x - near), 0, atol=1e-12)
other = A @ jnp.array([1.0, -2.0, 0.5])
right = length(x - near) ** 2 + length(near - other) ** 2
assert jnp.allclose(length(x - other) ** 2, right)
assert jnp.allclose(near, A @ np.linalg.lstsq(A, x)[0])

x, v = jnp.array([1.0, 2.2]), jnp.array([2.0, 1.0])
near = projections.onto_vector(x, v)
_, ax = plt.subplots(figsize=(4.4, 3.6), layout="constrained")
ax.axline((0, 0), tuple(v.tolist()), color="0.6", linewidth=1, label="span of v")
for point, color, name in ((x, "tab:blue", "x"), (v, "0.3", "v"), (near, "tab:orange", "Px")):
    ax.annotate("", point, (0, 0), arrowprops={"arrowstyle": "->", "color": color, "linewidth": 2})
    ax.annotate(name, point, (5, -10), textcoords="offset points", color=color)
ax.plot(*jnp.stack([x, near]).T, ":", color="tab:red", label="x − Px, at a right angle")
ax.set(aspect="equal", xlim=(-0.5, 2.7), ylim=(-0.3, 2.6), xlabel="x₁", ylabel="x₂")
ax.legend(frameon=False, fontsize=8, loc="upper right")
plt.show()
assert jnp.allclose(inner(x - near, v), 0)

# %% [markdown]
# ## Orthonormal columns
#
# Gram and Schmidt make the columns of $A$ orthonormal one after the other: from each take its
# projection on those before, and bring what is left to length 1. What is left may be small beside
# what was taken, and then it is mostly rounding. The powers $1, t, t^2, \dots$ become more and more
# alike: after a dozen of them the columns are orthogonal no more. To do it twice is enough.

# %%
t = np.linspace(0, 1, 60)
powers = t[:, None] ** np.arange(16)


def once(A):
    Q = np.zeros((len(A), 0))
    for column in A.T:
        left = column - Q @ (Q.T @ column)
        Q = np.column_stack([Q, left / np.linalg.norm(left)])
    return Q


def apart(Q):
    """Largest |QᵀQ − I| of the first columns, for each number of them."""
    misses = np.abs(np.asarray(Q.T @ Q) - np.eye(Q.shape[1]))
    return np.array([misses[:k, :k].max() for k in range(1, Q.shape[1] + 1)])


careless, careful = apart(once(powers)), apart(projections.gram_schmidt(powers))
assert careless[-1] > 0.1
assert (careful < 1e-14).all()

_, ax = plt.subplots(figsize=(5.4, 3.2), layout="constrained")
ax.semilogy(range(1, 17), careless, "o-", color="tab:red", label="subtracted once")
ax.semilogy(range(1, 17), careful, "s-", color="tab:blue", label="twice, as in the library")
ax.set(xlabel="columns 1, t, t², …", ylabel="largest entry of |QᵀQ − I|")
ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# ## Maps that keep all lengths
#
# A reflection $x - 2n\langle n, x\rangle$ and a rotation keep every length and every angle.
# Householder's reflection takes $x$ to a multiple of the first axis, and so zeroes all other
# entries without a loss of digits. Two reflections make a rotation by twice the angle between their
# mirrors.

# %%
x, y = jax.random.normal(keys[0], (2, 4))
found = rotations.householder(x)
image = rotations.reflect(x, found.normal)
assert jnp.allclose(image, jnp.array([found.image, 0, 0, 0]), atol=1e-14)
assert jnp.allclose(abs(found.image), length(x))
assert jnp.allclose(angle(image, rotations.reflect(y, found.normal)), angle(x, y))

first, second = jnp.array([1.0, 0.0]), jnp.array([jnp.cos(0.4), jnp.sin(0.4)])
both = rotations.reflect(rotations.reflect(v, first), second)
assert jnp.allclose(both, rotations.rotate(v, 0, 1, 2 * angle(first, second)))
assert jnp.allclose(rotations.rotate_onto(x, x, y) / length(x), y / length(y))

# %% [markdown]
# ## Distances
#
# The distance of two points is the length of their difference, in the norm that suits the
# question. Of flowers, a petal length of 1 cm more says much and a sepal width of 1 cm more says
# something else. Mahalanobis' distance counts in units of how the columns vary together,
#
# $$d(x, y)^2 = (x - y)^\top \Sigma^{-1} (x - y), \qquad \Sigma = L L^\top,$$
#
# and is Euclid's after the map $L^{-1}$: so it does not matter in what units, or mixtures of
# columns, one has measured.

# %%
X, _ = datasets.arrays("iris")
X = jnp.asarray(X)
factor = jnp.linalg.cholesky(jnp.cov(X.T))
d = distances.mahalanobis(X[0], X, factor)
white = jnp.linalg.solve(factor, X.T).T
assert jnp.allclose(d, distances.euclidean(white[0], white))

mixed = X @ jax.random.normal(keys[1], (4, 4))
again = distances.mahalanobis(mixed[0], mixed, jnp.linalg.cholesky(jnp.cov(mixed.T)))
assert jnp.allclose(d, again)
assert not jnp.allclose(
    distances.euclidean(X[0], X), distances.euclidean(mixed[0], mixed), rtol=0.1
)

# %% [markdown]
# In many dimensions distances say less and less. Of two points drawn from the normal distribution
# in $d$ dimensions $\|x - y\|^2$ has the mean $2d$ and the standard deviation $\sqrt{8d}$: beside
# its mean the spread vanishes, and the nearest of 500 points is nearly as far away as the farthest.

# %%
draws = np.random.default_rng(0)
dimensions, contrast = np.array([2, 10, 30, 100, 1000]), []
for k in dimensions:
    Y = draws.normal(size=(501, k))
    away = jax.jit(distances.euclidean)(np.zeros(k), Y[1:] - draws.normal(size=(500, k)))
    assert np.isclose((away**2).mean(), 2 * k, rtol=0.2)
    assert np.isclose((away**2).std(), np.sqrt(8 * k), rtol=0.2)
    away = np.asarray(jax.jit(distances.euclidean)(Y[0], Y[1:]))
    contrast.append(away.max() / away.min())
assert contrast[0] > 10
assert contrast[-1] < 1.3
assert (np.diff(contrast) < 0).all()

_, ax = plt.subplots(figsize=(5.4, 3), layout="constrained")
ax.loglog(dimensions, contrast, "o-")
ax.axhline(1, color="0.5", linestyle=":")
ax.set(xlabel="dimensions", ylabel="farthest / nearest distance")
plt.show()

# %% [markdown]
# ## Lengths of matrices
#
# A matrix takes the unit circle to an ellipse, whose half-axes are its singular values
# $\sigma_1 \ge \sigma_2 \ge \dots$ Three norms measure it by them:
#
# $$\|A\|_2 = \sigma_1 = \max_{\|x\| = 1} \|Ax\|, \qquad
#   \|A\|_F = \Bigl(\sum_j \sigma_j^2\Bigr)^{1/2} = \Bigl(\sum_{ij} a_{ij}^2\Bigr)^{1/2}, \qquad
#   \|A\|_* = \sum_j \sigma_j,$$
#
# the max, 2- and 1-norm of the singular values, and so they are ordered like those. The last is to
# the rank what the 1-norm of a vector is to the number of entries that are not 0.

# %%
A = jnp.array([[1.5, 1.0], [-0.2, 0.9]])
image = circle @ A.T
stretched = jax.vmap(length)(image)
spectral, frobenius, nuclear = (
    norm(A) for norm in (matrix_norms.spectral, matrix_norms.frobenius, matrix_norms.nuclear)
)
sigma = jnp.linalg.svd(A, compute_uv=False)
assert jnp.allclose(stretched.max(), spectral, rtol=1e-4)
assert jnp.allclose(stretched.min(), sigma[1], rtol=1e-3)
assert jnp.allclose(frobenius, jnp.sqrt(jnp.sum(A**2)))
assert jnp.allclose(nuclear, sigma.sum())
assert spectral <= frobenius <= nuclear <= jnp.sqrt(2) * frobenius
assert jnp.allclose(jax.grad(matrix_norms.frobenius)(A), A / frobenius)

_, ax = plt.subplots(figsize=(5.6, 3), layout="constrained")
ax.plot(*circle.T, color="0.6", label="‖x‖ = 1")
ax.plot(*image.T, color="tab:blue", label="A x")
longest = image[stretched.argmax()]
ax.plot(*jnp.stack([jnp.zeros(2), longest]).T, color="tab:red", label=f"‖A‖₂ = {spectral:.3f}")
ax.set(aspect="equal", xlabel="first coordinate", ylabel="second coordinate")
ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
plt.show()
