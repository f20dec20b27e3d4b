# %% [markdown]
# # Overfitting, bias and variance
#
# A model that is free enough follows the noise of the rows it was fitted to, and predicts new rows
# worse for it. This notebook draws data from a known truth, so that how much worse, and why, can be
# computed exactly; and then looks at real data, where it can only be estimated. Each claim is an
# `assert` below it: as a script, `python notebooks/overfitting_bias_and_variance.py` is a test of
# this text. It needs mlmath with its extra `cli`.

# %%
# %matplotlib inline
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax.tree_util import Partial

import mlmath
from mlmath.data import datasets
from mlmath.evaluate import bias_variance, curves, folds, metrics, scorer
from mlmath.linear import least_squares, ridge
from mlmath.plot import selection as figures
from mlmath.statistics import standardise
from mlmath.statistics.compose import compose

jax.config.update("jax_enable_x64", True)  # so that "equal" below can mean ten digits

# %% [markdown]
# ## A truth, a noise, and polynomials
#
# With $\varepsilon_i$ independent of mean 0 and variance 1,
#
# $$y_i = f(x_i) + \sigma\varepsilon_i, \qquad f(x) = \sin 4x, \qquad \sigma = 0.3,$$
#
# at thirty points $x_i$ of $[-1, 1]$ and, held out, at many others. The model is a polynomial of
# degree $p$ in the basis of Legendre polynomials, fitted by least squares,
#
# $$\hat y(x) = b + \sum_{j=1}^{p} w_j P_j(x).$$
#
# All degrees share one matrix of 15 columns: those beyond $p$ are set to 0, and least squares of
# any rank gives them the weight 0. So the degree is a number like any other, and 16 degrees are a
# `vmap`.

# %%
noise, most = 0.3, 15


def truth(x):
    return jnp.sin(4 * x)


def columns(x):
    return jnp.asarray(np.polynomial.legendre.legvander(x, most)[:, 1:])


def fit_degree(X, y, *, degree, sample_weight=None):
    kept = X * (jnp.arange(1, most + 1) <= degree)
    return least_squares.fit(kept, y, sample_weight=sample_weight)


predict = mlmath.rows(least_squares.predict)
degrees = jnp.arange(most + 1)
x = jnp.linspace(-1, 1, 30)
x_new = jax.random.uniform(jax.random.key(0), (2000,), minval=-1, maxval=1)
X, X_new = columns(x), columns(x_new)
y = truth(x) + noise * jax.random.normal(jax.random.key(1), x.shape)
y_new = truth(x_new) + noise * jax.random.normal(jax.random.key(2), x_new.shape)

path = jax.vmap(lambda degree: fit_degree(X, y, degree=degree))(degrees)
assert path.certificate.converged.all()
assert (path.rank == degrees).all()

# %%
fine = np.linspace(-1, 1, 400)
_, axes = plt.subplots(1, 3, figsize=(10, 3.2), sharey=True, layout="constrained")
for ax, degree in zip(axes, (1, 6, 15), strict=True):
    one = jax.tree.map(lambda leaf, degree=degree: leaf[degree], path.params)
    ax.plot(fine, truth(fine), color="0.6", linestyle="--", label="truth")
    ax.plot(fine, predict(one, columns(fine)), color="tab:blue", label="fitted")
    ax.plot(x, y, ".", color="0.2", label="training rows")
    ax.set(title=f"degree {degree}", xlabel="x", ylim=(-2, 2))
axes[0].set_ylabel("y")
axes[0].legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# ## Training error and held-out error
#
# On the rows fitted to, the mean squared error
#
# $$\overline{\mathrm{err}} = \frac1n \sum_i \bigl(y_i - \hat y(x_i)\bigr)^2$$
#
# can only fall as the degree rises, because each model contains the one before. On new rows it
# falls and then rises: the training error says nothing of where.

# %%
training = jax.vmap(metrics.mean_squared_error, (0, None))(
    jax.vmap(predict, (0, None))(path.params, X), y
)
held_out = jax.vmap(metrics.mean_squared_error, (0, None))(
    jax.vmap(predict, (0, None))(path.params, X_new), y_new
)

assert (jnp.diff(training) < 0).all()
assert 0 < held_out.argmin() < most
assert (held_out > noise**2 * 0.95).all()  # nothing predicts the noise (5 % for 2000 drawn rows)
assert training[most] < noise**2 < held_out[most]
print(f"degree {held_out.argmin()} predicts new rows best, degree {training.argmin()} its own")

# %% [markdown]
# ## The decomposition
#
# Let the training data be drawn again and again. Over these draws, and over the noise of a new row
# at $x$,
#
# $$\mathbb E\,(y - \hat y)^2 \;=\; \underbrace{\sigma^2}_{\text{noise}}
#   + \underbrace{\bigl(f(x) - \mathbb E\,\hat y\bigr)^2}_{\text{bias}^2}
#   + \underbrace{\mathbb E\,\bigl(\hat y - \mathbb E\,\hat y\bigr)^2}_{\text{variance}}.$$
#
# `bias_variance.squared` takes the predictions of the refits and gives the three parts, averaged
# over the new rows. The parts add up to the error whatever the number of refits: the identity
# holds for any finite set of predictions. The targets of the new rows are drawn too, so that bias²
# is right in the mean over their noise, and may come out a little below 0.

# %%
draws = noise * jax.random.normal(jax.random.key(3), (1000, *x.shape))


def simulated(degree):
    def refit(draw):
        return predict(fit_degree(X, truth(x) + draw, degree=degree).params, X_new)

    return bias_variance.squared(jax.vmap(refit)(draws), y_new, noise=noise**2)


parts = jax.jit(lambda: jax.lax.map(simulated, degrees))()
assert jnp.allclose(parts.error, parts.noise + parts.squared_bias + parts.variance, rtol=1e-10)
assert 0 < parts.error.argmin() < most

# %% [markdown]
# The simulation can be checked without chance. Least squares is linear in the targets,
# $\hat y = A y$, so its derivative *through the fit* is the matrix $A$, and
#
# $$\text{bias} = A f - f, \qquad \text{variance at } x = \sigma^2 \sum_i A_{xi}^2.$$
#
# At the training rows $A$ is a projection on $p + 1$ dimensions. There the variance averages
# $\sigma^2 (p + 1)/n$, whatever the truth: each coefficient costs the same, useful or not. And the
# bias cannot grow with the degree.


# %%
def exact(fit, X_at, f_at):
    """Squared bias and variance of a fit that is linear in y, at each of the given rows."""
    A = jax.jacobian(lambda y: predict(fit(X, y).params, X_at))(y)
    return (A @ truth(x) - f_at) ** 2, noise**2 * jnp.sum(A**2, axis=1)


@jax.jit
@jax.vmap
def of_degree(degree):
    every = jnp.concatenate([x, x_new])
    fit = Partial(fit_degree, degree=degree)
    return exact(fit, jnp.concatenate([X, X_new]), truth(every))


squared_bias, variance = of_degree(degrees)
bias_here, variance_here = (v[:, : len(x)].mean(axis=1) for v in (squared_bias, variance))
bias_new, variance_new = (v[:, len(x) :].mean(axis=1) for v in (squared_bias, variance))

assert jnp.allclose(variance_here, noise**2 * (degrees + 1) / len(x))
assert (jnp.diff(bias_here) < 1e-12).all()
assert jnp.allclose(parts.variance, variance_new, rtol=0.1)  # 1000 draws
spread = noise * jnp.sqrt((4 * bias_new + 2 * noise**2) / len(x_new))  # by the new rows' noise
assert (abs(parts.squared_bias - bias_new) < 4 * spread).all()


# %%
def draw_parts(ax, values, noise, squared_bias, variance, total):
    ax.plot(values, total, color="black", label="error = noise + bias² + variance")
    ax.plot(values, squared_bias, color="tab:orange", label="bias²")
    ax.plot(values, variance, color="tab:blue", label="variance")
    ax.axhline(noise, color="0.6", linestyle=":", label="noise σ²")


_, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
draw_parts(ax, degrees, noise**2, parts.squared_bias, parts.variance, parts.error)
ax.plot(degrees, training, "x", color="tab:red", label="training error of the data above")
ax.set(xlabel="degree", ylabel="mean squared error", ylim=(-0.02, 0.6))
ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# ## What a penalty does
#
# Instead of fewer columns, smaller weights: ridge regression of all 15 columns minimises
#
# $$\tfrac12 \sum_i (y_i - \hat y(x_i))^2 + \tfrac{\lambda}{2} \sum_j w_j^2.$$
#
# At the training rows, with singular values $d_j$ of the centred columns, the squared bias is a sum
# of $\lambda^2/(d_j^2 + \lambda)^2$ and the variance one of $d_j^4/(d_j^2 + \lambda)^2$: the first
# rises with $\lambda$, the second falls. At $\lambda = 0$ the bias starts flat and the variance
# does not, so that *some* penalty always beats none: the derivative of the error there is negative.

# %%
penalties = jnp.logspace(-5, 3, 60)


def of_penalty(l2):
    squared_bias, variance = exact(Partial(ridge.fit, l2=l2), X, truth(x))
    return squared_bias.mean(), variance.mean()


squared_bias, variance = jax.jit(jax.vmap(of_penalty))(penalties)
assert (jnp.diff(squared_bias) > 0).all()
assert (jnp.diff(variance) < 0).all()
assert jax.jit(jax.grad(lambda l2: sum(of_penalty(l2))))(1e-6) < 0

error = noise**2 + squared_bias + variance
assert 0 < error.argmin() < len(penalties) - 1

_, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
draw_parts(ax, penalties, noise**2, squared_bias, variance, error)
ax.set(xlabel="penalty λ, 15 columns", ylabel="mean squared error", xscale="log", ylim=(0, 0.6))
ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# ## What more data does
#
# The variance falls with $n$ and the bias stays. So a learning curve says which of the two one has:
# training and held-out error meet, for a model that is too simple above the noise, where no number
# of rows will help; for one that is rich enough at the noise. A row not drawn yet has weight 0, so
# all sizes in all folds are one compiled program.

# %%
x_many = jax.random.uniform(jax.random.key(4), (1500,), minval=-1, maxval=1)
X_many, many = columns(x_many), folds.shuffle(jax.random.key(5), 1500, folds=8, test_share=0.3)
y_many = truth(x_many) + noise * jax.random.normal(jax.random.key(6), x_many.shape)
score = scorer.of_loss(least_squares.predict, metrics.mean_squared_error)
sizes = jnp.array([30, 50, 80, 150, 300, 600, 1000])


def learn(degree):
    fit = Partial(fit_degree, degree=degree)
    curve = curves.learning_curve(jax.random.key(7), fit, score, X_many, y_many, many, sizes)
    return scorer.shown(score, curve.train_scores), scorer.shown(score, curve.test_scores)


poor, rich = learn(1), learn(8)
for seen, held in (poor, rich):
    gap = (held - seen).mean(axis=0)
    assert gap[0] > 5 * abs(gap[-1])  # the two errors meet
best_line = fit_degree(X_new, truth(x_new), degree=1).params
stays = metrics.mean_squared_error(predict(best_line, X_many), truth(x_many))
assert stays > noise**2
assert jnp.allclose(poor[1].mean(axis=0)[-1], noise**2 + stays, rtol=0.1)
assert jnp.allclose(rich[1].mean(axis=0)[-1], noise**2, rtol=0.1)

# %%
title = "mean squared error, lower is better"
figures.learning_curve(sizes, poor[1], training=poor[0], score=f"degree 1: {title}")

# %%
figures.learning_curve(sizes, rich[1], training=rich[0], score=f"degree 8: {title}")

# %% [markdown]
# ## Real data, in one call
#
# Of 442 patients ten measurements are known, and how far their diabetes went on within a year; with
# all products of two measurements the model has 65 columns. The truth is not known, and there is
# one data set only. `bias_variance.decompose` refits to bootstrap resamples of it, which are
# vectors of row weights, and decomposes the error on held-out patients: one call per penalty. Two
# things it cannot know: one target per patient does not tell noise from bias, so that what is
# called bias² holds both; and resamples scatter about the fit to *these* rows.

# %%
raw, target = datasets.arrays("diabetes")
(held,) = folds.shuffle(jax.random.key(8), len(target), folds=1, test_share=0.3).test
scale = standardise.fit(raw, sample_weight=1.0 - held).params  # without the held-out patients
scaled = mlmath.rows(standardise.transform)(scale, raw)
i, j = np.triu_indices(raw.shape[1])
table = jnp.hstack([scaled, scaled[:, i] * scaled[:, j]])
model = compose(standardise, ridge)
penalties = jnp.logspace(-1, 4, 15)


def resampled(l2):
    return bias_variance.decompose(
        jax.random.key(9), Partial(model.fit, l2=l2), model.predict, table, target, table, target,
        sample_weight=1.0 - held, test_weight=1.0 * held, resamples=100,
    )  # fmt: skip


refits = [resampled(l2) for l2 in penalties]  # one compiled program of 100 fits, run 15 times
refits = jax.tree.map(lambda *leaves: jnp.stack(leaves), *refits)
real = refits.parts
assert refits.certificate.converged.all()
assert jnp.allclose(real.error, real.squared_bias + real.variance, rtol=1e-10)
assert (jnp.diff(real.variance) < 0).all()
assert 0 < real.error.argmin() < len(penalties) - 1

_, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
ax.plot(penalties, real.error, color="black", label="error of a refit, held-out patients")
ax.plot(penalties, real.squared_bias, color="tab:orange", label="noise + bias²")
ax.plot(penalties, real.variance, color="tab:blue", label="variance")
ax.set(xlabel="penalty λ, 65 columns", ylabel="mean squared error", xscale="log", ylim=(0, 6000))
ax.legend(frameon=False, fontsize=8)
plt.show()
