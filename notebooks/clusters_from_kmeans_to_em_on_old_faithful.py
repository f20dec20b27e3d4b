# %% [markdown]
# # Clusters: from k-means to EM on Old Faithful
#
# The geyser Old Faithful erupts for two minutes or for more than four, and the wait for the next
# eruption is short or long to match. Nobody has labelled the 272 eruptions; the data show it by
# themselves. Each claim here is an `assert` below it: as a script,
# `python notebooks/clusters_from_kmeans_to_em_on_old_faithful.py` is a test of this text. It needs
# mlmath with its extra `cli`.

# %%
# %matplotlib inline
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import mlmath
from mlmath.data import datasets
from mlmath.evaluate import clusters
from mlmath.latent import full_mixture, kmeans, mixture_sweep, spherical_mixture
from mlmath.plot import clusters as figures
from mlmath.statistics import standardise

jax.config.update("jax_enable_x64", True)  # so that "equal" below can mean ten digits
plt.rcParams["figure.dpi"] = 72

# %% [markdown]
# Distances compare columns, so these must be brought to one unit: of the raw minutes the wait
# varies 140 times as much as the eruption, and nothing else would count.

# %%
raw = jnp.asarray(datasets.load("old_faithful").select("eruptions", "waiting").to_numpy() * 1.0)
assert raw.shape == (272, 2)
assert 130 < jnp.var(raw[:, 1]) / jnp.var(raw[:, 0]) < 150
X = mlmath.rows(standardise.transform)(standardise.fit(raw).params, raw)
names = ("eruption / standard deviations", "wait / standard deviations")

# %% [markdown]
# ## k-means
#
# The inertia of $k$ centroids is the sum of the squared distances of the rows from their nearest
# one,
#
# $$L(c_1, \dots, c_k) = \sum_i \min_j \|x_i - c_j\|^2.$$
#
# Lloyd's algorithm alternates between two steps, neither of which can raise it: each row goes to
# its nearest centroid, each centroid to the mean of its rows. So it ends. Here it begins at a bad
# place, both centroids among the long eruptions.

# %%
start = jnp.array([[0.6, 0.4], [1.2, 1.2]])
path = [start, *(kmeans.fit(start, X, max_steps=t).params.centroids for t in range(1, 8))]
inertia = jnp.array([kmeans.objective(kmeans.Params(c), X) for c in path])
assert (jnp.diff(inertia) <= 1e-9).all()

fitted = kmeans.fit(start, X)
assert fitted.certificate.converged
label = mlmath.rows(kmeans.predict)(fitted.params, X)
for j in range(2):
    assert jnp.allclose(fitted.params.centroids[j], X[label == j].mean(axis=0))

figures.steps(X, jnp.stack(path), names=names)

# %% [markdown]
# The certificate says what one more step is sure to gain: nothing. That is a *local* minimum. With
# two clusters all starts find the same one here; with six they do not. `kmeans.sweep` runs all
# sizes from all seeds in one program, each start drawn by k-means++, and keeps the best.

# %%
sizes = tuple(range(1, 9))
found = kmeans.sweep(jax.random.key(0), X, sizes=sizes, seeds=10)
values = found.certificate.objective
assert values.shape == (8, 10)
assert jnp.allclose(values[1], fitted.certificate.objective)
assert values[5].max() > 1.01 * values[5].min()
best = values.min(axis=1)
assert (jnp.diff(best) < 0).all()

# %% [markdown]
# ## How many?
#
# More centroids always lie nearer: the inertia alone cannot tell. Its curve has an **elbow** where
# one more of them stops helping: the size that lies farthest below the straight line between the
# ends. The **silhouette** of a row compares the mean distance $a$ to its own cluster with that to
# the next one, $b$: $(b - a)/\max(a, b)$, and is near 1 where it fits in.

# %%
elbow = clusters.elbow(jnp.array(sizes), best)
assert elbow.chosen == 2
figures.criterion(sizes, {"inertia": best}, chosen=2, quantity="inertia of the best of ten seeds")

# %%
silhouette = clusters.silhouette(X, label, classes=2)
assert silhouette.mean > 0.7
three = found.centroids[2, found.best[2], :3]
label_three = mlmath.rows(kmeans.predict)(kmeans.Params(three), X)
assert clusters.silhouette(X, label_three, classes=3).mean < silhouette.mean - 0.1
assert (silhouette.values > 0).mean() > 0.98
figures.silhouettes(silhouette.values, label, clusters=["short", "long"])

# %% [markdown]
# ## Probabilities instead of walls
#
# k-means says of an eruption of three minutes only on which side of a wall it lies, and its
# clusters are balls of one size. A mixture of normal distributions
#
# $$p(x) = \sum_j \pi_j\, \mathcal N(x; \mu_j, \Sigma_j), \qquad
#   r_{ij} = \frac{\pi_j\, \mathcal N(x_i; \mu_j, \Sigma_j)}{p(x_i)}$$
#
# has a share, a place and a shape for each, and *responsibilities* $r_{ij}$ instead of labels. EM
# alternates as Lloyd's algorithm does: the responsibilities, then the weighted means and
# covariances. It never lowers the likelihood.

# %%
begin = full_mixture.Params(jnp.ones(2) / 2, start, jnp.tile(jnp.eye(2), (2, 1, 1)))
ways = [full_mixture.fit(begin, X, max_steps=t).params for t in range(12)]
losses = jnp.array([full_mixture.objective(params, X) for params in ways])
assert (jnp.diff(losses) < 0).all()

mixture = full_mixture.fit(begin, X)
assert mixture.certificate.converged
shares = mlmath.rows(full_mixture.predict)(mixture.params, X)
assert jnp.allclose(shares.sum(axis=1), 1)
assert jnp.allclose(shares.mean(axis=0), mixture.params.weights, atol=1e-6)
means = shares.T @ X / shares.sum(axis=0)[:, None]
assert jnp.allclose(means, mixture.params.means, atol=1e-6)

which = shares.argmax(axis=1)
assert clusters.adjusted_rand(which, label, classes=2) > 0.95
assert (shares.max(axis=1) < 0.9).sum() <= 10  # few eruptions are in doubt
figures.partition(
    X, which, means=mixture.params.means, covariances=mixture.params.covariances, names=names,
    clusters=["short", "long"],
)  # fmt: skip

# %% [markdown]
# ## k-means is a limit of it
#
# Let all components be balls of one variance $v$ and of equal share. Then $\log r_{ij} = -\|x_i -
# \mu_j\|^2 / 2v$ up to a constant, and as $v \to 0$ the nearest mean takes all: the
# responsibilities become labels, and a step of EM becomes one of Lloyd.


# %%
def off(v):
    balls = spherical_mixture.Params(jnp.ones(2) / 2, fitted.params.centroids, jnp.full(2, v))
    soft = mlmath.rows(spherical_mixture.predict)(balls, X)
    return jnp.abs(soft - jax.nn.one_hot(label, 2)).max()


assert off(1.0) > 0.3
assert off(1e-3) < 1e-6

# %% [markdown]
# ## How many components?
#
# A mixture has a likelihood, and so a penalty per free number can be set against it:
#
# $$\mathrm{BIC} = -2\ell + p \log n, \qquad \mathrm{AIC} = -2\ell + 2p.$$
#
# The likelihood itself is a poor judge, because it has no maximum: a component that shrinks onto
# one eruption makes it infinite. `prior_rows` says as how many rows more, of an ordinary scatter,
# each covariance begins; with three of them the sweep over all sizes converges.

# %%
alone = full_mixture.Params(
    jnp.ones(2) / 2, jnp.stack([X[0], X.mean(axis=0)]), jnp.stack([1e-6 * jnp.eye(2), jnp.eye(2)])
)
assert not full_mixture.fit(alone, X).certificate.converged
assert full_mixture.fit(alone, X, prior_rows=3.0).certificate.converged

many = mixture_sweep.sweep(
    full_mixture.FAMILY, jax.random.key(2), X, sizes=(1, 2, 3, 4), seeds=3, prior_rows=3.0
)
assert many.certificate.converged.all()
bic, aic = many.bic.min(axis=1), many.aic.min(axis=1)
place, _ = mixture_sweep.best(many.bic)
assert many.sizes[place] == 2
figures.criterion(many.sizes.tolist(), {"BIC": bic, "AIC": aic}, chosen=2)

# %% [markdown]
# ## What it is good for
#
# The mixture is a density, from which new eruptions can be drawn and by which a strange one is
# recognised. And the fit has derivatives: that of the inertia or of the likelihood in the weight of
# a row is what the row itself contributes (the envelope theorem), since at an optimum nothing else
# changes to first order.

# %%
draws = jax.vmap(full_mixture.sample, (0, None))(
    jax.random.split(jax.random.key(3), 4000), mixture.params
)
assert jnp.allclose(draws.mean(axis=0), X.mean(axis=0), atol=0.06)
assert jnp.allclose(jnp.cov(draws.T), jnp.cov(X.T), atol=0.06)
density = mlmath.rows(full_mixture.log_prob)
strange = jnp.array([[0.0, 1.5]])  # an ordinary eruption, and a wait that is too long for it
assert density(mixture.params, strange)[0] < density(mixture.params, X).min()


def least(weight):
    return kmeans.fit(start, X, sample_weight=weight).certificate.objective


slope = jax.grad(least)(jnp.ones(len(X)))
assert jnp.allclose(slope, mlmath.rows(kmeans.loss)(fitted.params, X))
