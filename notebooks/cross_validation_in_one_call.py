# %% [markdown]
# # Cross-validation in one call
#
# Cross-validation fits a model many times: every candidate in every fold, and in every fold of the
# folds if the choice itself is to be judged. Here a fold is a vector of row weights, so that all
# these fits are one compiled function of arrays, which can also be differentiated. Each claim is an
# `assert` below it: as a script, `python notebooks/cross_validation_in_one_call.py` is a test of
# this text. It needs mlmath with its extra `cli`.

# %%
# %matplotlib inline
import time
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from mlmath.data import datasets
from mlmath.evaluate import folds, hyper, metrics, scorer, selection
from mlmath.linear import ridge
from mlmath.plot import selection as figures
from mlmath.statistics import standardise
from mlmath.statistics.compose import compose

jax.config.update("jax_enable_x64", True)  # so that "equal" below can mean ten digits

X, y = datasets.arrays("diabetes")  # 442 patients, 10 measurements
model = compose(standardise, ridge)  # standardised inside the model, in every fold anew
score = scorer.of_loss(model.predict, metrics.mean_squared_error)  # greater is better: −error

# %% [markdown]
# ## A fold is a mask, and weight 0 is absence
#
# `Folds` holds two boolean matrices, one line per fold: $T_k$ for the rows that train and $V_k$ for
# the rows that are held out. They multiply the weight of each row, and a row of weight 0 is absent
# from a fit *whatever it holds*, so that
#
# $$\theta_k = \mathrm{fit}(X, y, T_k) \quad\text{is the fit to the rows with } T_{ki} = 1 .$$

# %%
parts = folds.k_fold(jax.random.key(0), len(y), folds=10)
assert (parts.test.sum(axis=0) == 1).all()  # each row is held out once
assert (parts.train == ~parts.test).all()


def equal(a, b):
    return all(map(jnp.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))


train, test = np.asarray(parts.train[0]), np.asarray(parts.test[0])
masked = model.fit(X, y, sample_weight=1.0 * train).params
sliced = model.fit(X[train], y[train]).params
assert all(map(jnp.allclose, jax.tree.leaves(masked), jax.tree.leaves(sliced)))

unknown = np.where(test[:, None], np.nan, X)
assert equal(model.fit(unknown, y, sample_weight=1.0 * train).params, masked)

# %% [markdown]
# ## All folds and all candidates
#
# With candidates $\lambda_c$, here fifty penalties, every fit and every score is
#
# $$\theta_{kc} = \mathrm{fit}(X, y, T_k;\, \lambda_c), \qquad
#   a_{kc} = \mathrm{score}(\theta_{kc}, X, y, V_k).$$
#
# `selection.search` computes all of them in one program. The shape of the arrays does not depend on
# the fold or the candidate, and a penalty is a number like any other: so Python goes through the
# score when the program is traced and not once per fit, and for other penalties not at all. Within
# a fold, what does not depend on the candidate is computed once.

# %%
traced = []


def watched(params, X, y, *, sample_weight=None):
    traced.append(1)
    return score(params, X, y, sample_weight=sample_weight)


penalties = jnp.logspace(-2, 4, 50)
found = selection.search(model.fit, watched, X, y, parts, {"l2": penalties})
times = len(traced)
assert found.scores.shape == (10, 50)
assert found.certificates.converged.all()  # of each of the 500 fits
assert times < 10  # of 500 scores
selection.search(model.fit, watched, X, y, parts, {"l2": 2 * penalties})
assert len(traced) == times

# %% [markdown]
# The same by two loops over slices of the table, as one would write it first. Both are run
# once before the clock starts, so that neither is charged for its compilation. The seconds depend
# on the machine and on what else it does; what does not is the amount of work: the loops start
# programs for each of 500 fits and form the Gram matrix of each fold fifty times, the call starts
# one program, which forms it once.


# %%
def loops():
    scores = np.zeros((len(parts.train), len(penalties)))
    for k, (train, test) in enumerate(zip(*map(np.asarray, parts), strict=True)):
        for c, l2 in enumerate(penalties):
            fitted = model.fit(X[train], y[train], l2=l2)
            scores[k, c] = score(fitted.params, X[test], y[test])
    return scores


def call():
    return selection.search(model.fit, watched, X, y, parts, {"l2": penalties}).scores


for way in (loops, call):
    jax.block_until_ready(way())
    start = time.perf_counter()
    scores = jax.block_until_ready(way())
    print(f"{way.__name__}: {time.perf_counter() - start:.4f} s for {scores.size} fits")
    assert jnp.allclose(scores, found.scores, rtol=1e-9)

# %% [markdown]
# ## The choice, and one standard error
#
# Over $f$ folds a candidate has the mean and the standard error
#
# $$\bar a_c = \frac1f \sum_k a_{kc}, \qquad
#   e_c = \sqrt{\frac{\sum_k (a_{kc} - \bar a_c)^2}{f(f-1)}} .$$
#
# Best is $c^* = \arg\max_c \bar a_c$. The rule of one standard error takes the simplest candidate
# that is not clearly worse, $\bar a_c \ge \bar a_{c^*} - e_{c^*}$; of penalties the largest is the
# simplest. The folds share training rows, so $e_c$ is a guide and not a confidence limit.

# %%
choice, a = found.choice, np.asarray(found.scores)
mean, error = a.mean(axis=0), a.std(axis=0, ddof=1) / np.sqrt(len(a))
close = np.flatnonzero(mean >= mean.max() - error[mean.argmax()])
assert jnp.allclose(choice.mean, mean)
assert jnp.allclose(choice.standard_error, error)
assert choice.best == mean.argmax()
assert choice.simplest == close[-1] > choice.best

figures.validation_curve(
    penalties, scorer.shown(score, found.scores), best=choice.best, simplest=choice.simplest,
    parameter="penalty λ", score="mean squared error, lower is better",
)  # fmt: skip

# %% [markdown]
# ## Nested cross-validation is `cross_validate` of a search
#
# The score of the winner took part in choosing it, so it flatters: if the score of candidate $c$
# has the mean $\mu_c$, then $\mathbb E \max_c \bar a_c \ge \max_c \mu_c$. An honest score holds
# rows out from the search as well. A search has `params` and `certificate` as a fit has, and masks
# multiply: the inner folds lie within the rows that the outer fold leaves.

# %%
inner, grid = folds.k_fold(jax.random.key(1), len(y), folds=5), {"l2": penalties}


def searched(X, y, *, sample_weight=None):
    return selection.search(model.fit, score, X, y, inner, grid, sample_weight=sample_weight)


nested = selection.cross_validate(searched, score, X, y, parts)  # 10 × (5 × 50 + 1) fits
assert nested.certificate.converged.all()
for k, (train, test) in enumerate(zip(*map(np.asarray, parts), strict=True)):
    within = folds.Folds(inner.train[:, train], inner.test[:, train])
    won = selection.search(model.fit, score, X[train], y[train], within, grid)
    assert jnp.isclose(score(won.params, X[test], y[test]), nested.scores[k])
print(
    f"error of the winner where it was chosen {-mean.max():.1f}, nested {-nested.scores.mean():.1f}"
)

# %% [markdown]
# ## A derivative in the place of a grid
#
# The cross-validated loss is a function of the penalty, and a smooth one: the fit is a root of the
# gradient of its objective $J_k$, and the implicit function theorem differentiates through it,
#
# $$L(\lambda) = -\frac1f \sum_k \mathrm{score}\bigl(\theta_k(\lambda), X, y, V_k\bigr), \qquad
#   \frac{d\theta_k}{d\lambda} = -\Bigl(\frac{\partial^2 J_k}{\partial\theta^2}\Bigr)^{-1}
#   \frac{\partial^2 J_k}{\partial\theta\,\partial\lambda} .$$
#
# So the best penalty is sought where a derivative vanishes, not where a grid has a point. And ten
# penalties, one per measurement, have their gradient for the price of one linear system per fold,
# where a grid of fifty values each would have $50^{10}$ points.

# %%
loss = jax.jit(lambda log_l2: hyper.objective(
    model.fit, score, X, y, parts, {"l2": jnp.exp(log_l2)}
))  # fmt: skip
at, h = jnp.log(10.0), 1e-4
slope = jax.grad(loss)(at)
assert jnp.isclose(slope, (loss(at + h) - loss(at - h)) / (2 * h), rtol=1e-5)
assert jnp.isclose(loss(jnp.log(penalties[7])), -mean[7])  # the same fits as the search

learn = partial(hyper.minimize, model.fit, score, X, y, parts)
one = learn({"l2": 10.0})
each = learn({"l2": jnp.full(X.shape[1], one.numbers["l2"])})
assert one.certificate.converged
assert abs(jax.grad(loss)(jnp.log(one.numbers["l2"]))) < 1e-6 * loss(at)
assert loss(jnp.log(one.numbers["l2"])) < -mean.max()  # below every point of the grid
assert each.certificate.objective < one.certificate.objective

_, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
axes.plot(penalties, -mean, ".-", color="tab:blue", label="grid of 50 penalties")
axes.plot(one.numbers["l2"], one.certificate.objective, "*", color="tab:red", markersize=12,
          label="where the derivative vanishes")  # fmt: skip
axes.axhline(each.certificate.objective, color="tab:green", linestyle="--",
             label="one penalty per measurement")  # fmt: skip
axes.set(xscale="log", xlabel="penalty λ", ylabel="cross-validated mean squared error")
axes.set_ylim(2900, 3300)
axes.legend(frameon=False, fontsize=9)
plt.show()

# %% [markdown]
# A lower cross-validated loss is no proof of a better model: these numbers have met all held-out
# rows. Like a search, the learning can be judged by `cross_validate` alone.
#
# ## Leakage
#
# A held-out row is held out if *nothing* that is fitted depends on it. That can be tested: change
# the held-out rows, and see whether the fit changes. Composed, the standardisation sees the weights
# that the model sees. Done once before the folds, it has seen every row.

# %%
train, test = np.asarray(parts.train[0]), np.asarray(parts.test[0])
changed = np.where(test[:, None], 1000 * X, X)


def inside(X):
    return model.fit(X, y, sample_weight=1.0 * train).params


def outside(X):
    Z = jax.vmap(standardise.transform, (None, 0))(standardise.fit(X).params, X)
    return ridge.fit(Z, y, sample_weight=1.0 * train).params


assert equal(inside(changed), inside(X))  # to the last bit
assert not jnp.allclose(outside(changed).weights, outside(X).weights, rtol=0.1)
