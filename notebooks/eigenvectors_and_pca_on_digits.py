# %% [markdown]
# # Eigenvectors and PCA on digits
#
# A symmetric matrix is a stretching along axes at right angles, its eigenvectors. Those of the
# covariance matrix are the directions in which data vary most: principal component analysis. Each
# claim here is an `assert` below it: as a script,
# `python notebooks/eigenvectors_and_pca_on_digits.py` is a test of this text. It needs mlmath with
# its extra `cli`.

# %%
# %matplotlib inline
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import mlmath
from mlmath.data import datasets
from mlmath.latent import pca
from mlmath.linalg import nearest, power, spectra
from mlmath.plot import clusters, components
from mlmath.statistics import standardise

jax.config.update("jax_enable_x64", True)  # so that "equal" below can mean ten digits
plt.rcParams["figure.dpi"] = 72

# %% [markdown]
# ## The axes of a symmetric matrix
#
# $$A v_j = \lambda_j v_j, \qquad \lambda_1 \ge \lambda_2 \ge \dots, \qquad
#   A = \sum_j \lambda_j v_j v_j^\top,$$
#
# with the $v_j$ of length 1 and at right angles. Among all vectors of length 1 the first one
# maximises $x^\top A x$, and the next one maximises it among those at right angles to the first.

# %%
A = jnp.array([[2.0, 0.8], [0.8, 1.0]])
values, V = spectra.eigh(A)
assert jnp.allclose(A @ V, V * values)
assert jnp.allclose(V.T @ V, jnp.eye(2))
assert jnp.allclose((V * values) @ V.T, A)

turns = np.linspace(0, 2 * np.pi, 721)
circle = np.stack([np.cos(turns), np.sin(turns)], axis=1)
form = np.sum(circle @ A * circle, axis=1)
assert np.isclose(form.max(), values[0], rtol=1e-4)
assert np.isclose(form.min(), values[1], rtol=1e-4)
assert abs(circle[form.argmax()] @ V[:, 0]) > 0.9999

_, ax = plt.subplots(figsize=(4.4, 3.2), layout="constrained")
ax.plot(*circle.T, color="0.6", label="x of length 1")
ax.plot(*(circle @ A).T, color="tab:blue", label="A x")
for value, v, color in zip(values, V.T, ("tab:red", "tab:orange"), strict=True):
    tip = value * v
    ax.annotate("", tip, (0, 0), arrowprops={"arrowstyle": "->", "color": color, "linewidth": 2})
    ax.plot([], [], color=color, label=f"λ v, λ = {value:.3f}")
ax.set(aspect="equal", xlabel="first coordinate", ylabel="second coordinate")
ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# ## The digits, and their covariance
#
# 1,797 handwritten digits of $8 \times 8$ pixels are points $x_i$ of $\mathbb R^{64}$. With their
# mean $\mu$ and the covariance
#
# $$C = \frac1n \sum_i (x_i - \mu)(x_i - \mu)^\top$$
#
# the variance in a direction $v$ of length 1 is $v^\top C v$. So the direction of the largest
# variance is the first eigenvector of $C$, and the variance along it the first eigenvalue.

# %%
X, y = datasets.arrays("digits")
X = jnp.asarray(X)
whole = pca.fit(X, k=64)
C = jnp.cov(X.T, bias=True)
values, V = spectra.eigh(C)
assert whole.certificate.converged
assert jnp.allclose(whole.params.variances, values, atol=1e-10)
assert jnp.allclose(whole.params.components[:50], V.T[:50], atol=1e-6)
assert jnp.allclose(jnp.var(X @ V[:, 0]), values[0])

components.scree(whole.params.variances)

# %% [markdown]
# Of 64 dimensions 21 hold nine tenths of the variance, and three pixels never vary: a direction of
# variance 0 for each.

# %%
share = jnp.cumsum(whole.explained)
assert share[19] < 0.9 <= share[20]
assert (X.std(axis=0) == 0).sum() == 3
assert (jnp.abs(values) < 1e-10).sum() == 3

# %% [markdown]
# ## How eigenvectors are found
#
# By multiplying. In the coordinates of the eigenvectors one product with $C$ multiplies the $j$-th
# by $\lambda_j$, so that the first outgrows all others: **power iteration** $v \leftarrow
# Cv/\|Cv\|$. The sine of the angle to the first eigenvector falls by $\lambda_2/\lambda_1$ per
# step, which is slow here. **Lanczos'** method takes the best vector of all that the products span,
# and needs a fraction of them.

# %%
start = 1 + 0.1 * np.arange(64)
covariance, first = np.asarray(C), np.asarray(V[:, 0])


def sine(v):
    return np.linalg.norm(v - first * (first @ v))


v, sines = start / np.linalg.norm(start), []
for _ in range(60):
    v = covariance @ v
    v = v / np.linalg.norm(v)
    sines.append(sine(v))
sines, rate = np.array(sines), float(values[1] / values[0])
assert np.allclose(sines[50:] / sines[49:-1], rate, rtol=1e-3)

steps = np.array([4, 8, 16])
lanczos = [sine(power.lanczos(lambda x: C @ x, start, k).vectors[:, 0]) for k in steps.tolist()]
assert lanczos[-1] < 1e-2 * sines[15]

found = power.iterate(lambda x: C @ x, start)
assert found.converged
assert jnp.abs(found.value - values[0]) <= found.residual

_, ax = plt.subplots(figsize=(5.6, 3.2), layout="constrained")
ax.semilogy(np.arange(1, 61), sines, color="tab:orange", label="power iteration")
ax.semilogy([20, 60], sines[19] * rate ** np.array([0, 40]), ":k", label="(λ₂/λ₁)ᵗ")
ax.semilogy(steps, lanczos, "s-", color="tab:blue", markersize=4, label="Lanczos")
ax.set(xlabel="products with C", ylabel="sine of the angle to v₁")
ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# ## What k components keep
#
# A digit has the scores $z = V_k^\top(x - \mu)$, and from them comes back as $\hat x = \mu + V_k
# z$. Eckart and Young: no other $k$ directions lose less, and what is lost is the sum of the
# eigenvalues left out,
#
# $$\frac1n \sum_i \|x_i - \hat x_i\|^2 = \sum_{j > k} \lambda_j.$$

# %%
mean, directions = whole.params.mean, whole.params.components


def restored(k):
    return mean + (X - mean) @ directions[:k].T @ directions[:k]


back = {k: restored(k) for k in (1, 5, 20, 64)}
for k, Y in back.items():
    lost = jnp.sum((X - Y) ** 2) / len(X)
    assert jnp.allclose(lost, values[k:].sum(), atol=1e-9)
    few = pca.Params(mean, directions[:k], whole.params.variances[:k])
    assert jnp.allclose(pca.objective(few, X), len(X) * lost, atol=1e-6)

other = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (64, 20)))[0]
by_chance = jnp.sum((X - mean - (X - mean) @ other @ other.T) ** 2) / len(X)
assert by_chance > 5 * values[20:].sum()

shown = {k: Y[:6].reshape(-1, 8, 8) for k, Y in back.items()}
components.reconstructions(X[:6].reshape(-1, 8, 8), shown)

# %% [markdown]
# The directions are images too: each says which pixels become darker (red) and which lighter (blue)
# as its score grows. Any digit is the mean digit and so much of each.

# %%
_, axes = plt.subplots(1, 6, figsize=(9, 1.9), layout="constrained")
for j, ax in enumerate(axes):
    image = directions[j].reshape(8, 8)
    ax.imshow(image, cmap="RdBu_r", vmin=-0.35, vmax=0.35)
    ax.set(xticks=[], yticks=[], title=f"v{'₁₂₃₄₅₆'[j]}: {100 * whole.explained[j]:.0f} %")
plt.show()

# %% [markdown]
# ## Seeing 64 dimensions in two
#
# The scores in the first two directions are the most faithful plane. It holds 28 % of the variance,
# and knows nothing of the labels; yet digits of a kind lie together.

# %%
scores = mlmath.rows(pca.transform)(whole.params, X)
assert jnp.allclose(jnp.cov(scores.T, bias=True), jnp.diag(values), atol=1e-8)  # uncorrelated
assert 0.28 < share[1] < 0.29
digits = [f"digit {d}" for d in range(10)]
clusters.partition(scores[:, :2], y, names=("score in v₁", "score in v₂"), clusters=digits)

# %% [markdown]
# How much of what tells digits apart is lost? Take each digit for what its nearest neighbour is,
# among all others, with only the first $k$ scores.

# %%
kept = (1, 2, 5, 20, 64)
right = []
for k in kept:
    first_k = scores * (jnp.arange(64) < k)
    near = nearest.smallest(first_k, first_k, 2).indices[:, 1]
    right.append((y[near] == y).mean())
right = np.array(right)
assert (np.diff(right[:4]) > 0).all()
assert right[3] > 0.98
assert abs(right[4] - right[3]) < 0.01

_, ax = plt.subplots(figsize=(5, 3), layout="constrained")
ax.semilogx(kept, right, "o-")
ax.set_xticks(kept, [str(k) for k in kept])
ax.minorticks_off()
ax.set(xlabel="components kept", ylabel="nearest neighbour is the same digit", ylim=(0, 1.03))
plt.show()

# %% [markdown]
# ## Parts of the data, and derivatives
#
# $C$ is a sum over rows, so that the moments of parts add up: data that arrive in blocks give the
# components of the whole. And the fit has derivatives. In the weight of a row they say how much the
# first component owes to it, before anything is fitted again.

# %%
blocks = [X[:500], X[500:900], X[900:]]
total = pca.summarize(blocks[0])
for block in blocks[1:]:
    total = pca.merge(total, pca.summarize(block))
assert jnp.allclose(pca.solve(total, k=5).params.components, directions[:5], atol=1e-9)


@jax.jit
def first_share(weight):
    return pca.fit(X, k=2, sample_weight=weight).explained[0]


everyone = jnp.ones(len(X))
slope = jax.grad(first_share)(everyone)
for i in (int(slope.argmax()), int(slope.argmin())):
    change = first_share(everyone) - first_share(everyone.at[i].set(0))
    assert jnp.allclose(change, slope[i], rtol=0.02)

# %% [markdown]
# ## Columns of different units
#
# Pixels share a unit. What is measured in milligrams and in percent does not, and the largest
# variance is then a matter of units: of 13 measurements of wines the one with the largest numbers
# is nearly all of the first component. So one standardises first, and a biplot shows rows and
# columns at once: a wine far along an arrow has much of that measurement.

# %%
W, cultivar = datasets.arrays("wine")
names = [name for name in datasets.load("wine").columns if name != "cultivar"]
raw = pca.fit(W, k=2)
assert names[int(jnp.abs(raw.params.components[0]).argmax())] == "proline"
assert raw.explained[0] > 0.99

scale = standardise.fit(W).params
Z = mlmath.rows(standardise.transform)(scale, W)
fitted = pca.fit(Z, k=2)
assert 0.3 < fitted.explained[0] < 0.4
components.biplot(
    mlmath.rows(pca.transform)(fitted.params, Z), fitted.params.components, names,
    explained=fitted.explained, label=cultivar, labels=[f"cultivar {c + 1}" for c in range(3)],
)  # fmt: skip
