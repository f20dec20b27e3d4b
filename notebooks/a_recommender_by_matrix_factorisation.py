# %% [markdown]
# # A recommender by matrix factorisation
#
# Users have rated a few items each; how would they rate the others? If a few traits decide, on one
# side tastes and on the other kinds of items, then the matrix of all ratings has a low rank, and a
# tenth of its entries are enough to find it. The data here are drawn from a known truth, so that
# what is found can be compared with what is to be found. Each claim is an `assert` below it: as a
# script, `python notebooks/a_recommender_by_matrix_factorisation.py` is a test of this text. It
# needs mlmath with its extra `cli`.

# %%
# %matplotlib inline
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import mlmath
from mlmath.evaluate import recommendation
from mlmath.latent import implicit_feedback, matrix_factorization

jax.config.update("jax_enable_x64", True)  # so that "equal" below can mean ten digits
plt.rcParams["figure.dpi"] = 72

# %% [markdown]
# ## Ratings, and which of them are known
#
# User $u$ gives item $i$ the rating
#
# $$r_{ui} = \mu + b_u + c_i + p_u^\top q_i + \varepsilon_{ui}, \qquad p_u, q_i \in \mathbb R^3,
#   \qquad \varepsilon_{ui} \sim \mathcal N(0, \sigma^2),$$
#
# with a kindness $b_u$ and a quality $c_i$. Of 300 users and 150 items one pair in seven is known;
# a fifth of those is held out. Nobody can predict the noise: no error can fall below $\sigma =
# 0.3$.

# %%
users, items, rank, noise = 300, 150, 3, 0.3
draw = np.random.default_rng(0)
tastes, kinds = draw.normal(size=(users, rank)) * 0.6, draw.normal(size=(items, rank))
kindness, quality = draw.normal(size=users) * 0.4, draw.normal(size=items) * 0.5
truth = 3.5 + kindness[:, None] + quality + tastes @ kinds.T

u, i = np.nonzero(draw.uniform(size=truth.shape) < 1 / 7)
ratings = truth[u, i] + noise * draw.normal(size=len(u))
held = draw.uniform(size=len(u)) < 0.2
known = 1.0 - held
assert 0.13 < len(u) / truth.size < 0.15


def error(predicted, rows=held):
    return float(np.sqrt(np.mean((np.asarray(predicted) - ratings)[rows] ** 2)))


# %% [markdown]
# ## Without factors
#
# The mean of all ratings, and the mean of each item's, are what any method must beat.

# %%
mean = np.average(ratings, weights=known)
by_item = np.bincount(i, known * ratings, items) / np.bincount(i, known, items)
assert error(np.full(len(u), mean)) > error(by_item[i]) > 3 * noise

# %% [markdown]
# ## Alternating least squares
#
# Fitting minimises
#
# $$L = \tfrac12 \sum_{(u,i)\ \text{known}} (r_{ui} - \hat r_{ui})^2 + \tfrac\lambda2
#   \Bigl(\sum_u \|p_u\|^2 + b_u^2 + \sum_i \|q_i\|^2 + c_i^2\Bigr).$$
#
# With the items fixed this is one small ridge regression per user, and the other way round; so
# neither half of a sweep can raise $L$. What is known is said by weights: a held-out rating has
# weight 0, which is the same as if it were not there.

# %%
start = matrix_factorization.init(jax.random.key(0), (users, items), rank=rank)


def fit(weight, l2=1.0, max_steps=1000, start=start):
    return matrix_factorization.fit(
        start, u, i, ratings, l2=l2, sample_weight=weight, max_steps=max_steps
    )


predict = mlmath.rows(matrix_factorization.predict)
sweeps = [fit(known, max_steps=t) for t in range(1, 25)]
losses = np.array([one.certificate.objective for one in sweeps])
errors = [error(predict(one.params, u, i)) for one in sweeps]
assert (np.diff(losses) <= 1e-9).all()

fitted = fit(known)
assert fitted.certificate.converged
found = predict(fitted.params, u, i)
assert noise < error(found) < 2 * noise < error(by_item[i])

changed = np.where(held, np.nan, ratings)
again = matrix_factorization.fit(start, u, i, changed, l2=1.0, sample_weight=known)
assert jnp.allclose(predict(again.params, u, i), found)

_, ax = plt.subplots(figsize=(5.4, 3.2), layout="constrained")
ax.plot(range(1, 25), errors, "o-", label="held-out ratings")
ax.axhline(error(by_item[i]), color="tab:orange", label="mean of the item")
ax.axhline(noise, color="0.5", linestyle=":", label="noise σ")
ax.set(xlabel="sweeps", ylabel="root mean squared error", ylim=(0, None))
ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# ## How strong a penalty?
#
# Each user has about 17 known ratings for four numbers. Without a penalty these follow the noise,
# and with too strong a one nothing is learnt but the mean. The held-out ratings choose. A penalty
# is a number like any other: all of them are one `vmap`.

# %%
penalties = jnp.logspace(-1.5, 2, 8)
path = jax.vmap(lambda l2: fit(known, l2, 60).params)(penalties)
tried = [error(predict(jax.tree.map(lambda a, k=k: a[k], path), u, i)) for k in range(8)]
seen = [error(predict(jax.tree.map(lambda a, k=k: a[k], path), u, i), ~held) for k in range(8)]
best = int(np.argmin(tried))
assert 0 < best < 7
assert seen[0] < noise  # the known ratings are followed into their noise
assert tried[0] > tried[best] > seen[best]

_, ax = plt.subplots(figsize=(5.4, 3.2), layout="constrained")
ax.semilogx(penalties, tried, "o-", label="held-out ratings")
ax.semilogx(penalties, seen, "s-", color="tab:orange", label="known ratings")
ax.axhline(noise, color="0.5", linestyle=":", label="noise σ")
ax.set(xlabel="penalty λ", ylabel="root mean squared error", ylim=(0, None))
ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# ## What the factors mean
#
# Any rotation of tastes and kinds together gives the same ratings: a single factor has no meaning,
# only the space of all three. That one is found: the cosines of its angles with the true one are
# near 1, for the items, of whom there are more ratings each.

# %%
params = fitted.params
turn, _ = jnp.linalg.qr(jax.random.normal(jax.random.key(1), (rank, rank)))
turned = params._replace(
    row_factors=params.row_factors @ turn, column_factors=params.column_factors @ turn
)
assert jnp.allclose(predict(turned, u, i), found)

centred = [np.asarray(a) - np.mean(a, axis=0) for a in (params.column_factors, kinds)]
bases = [np.linalg.qr(a)[0] for a in centred]
cosines = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
assert (cosines > 0.95).all()

# %% [markdown]
# ## What to show
#
# What a user sees is a list, not a number: which items that are not yet rated come first. Of the
# true ratings of all pairs that were not known, the mean rating of the first ten in the list is
# well above that of the ten with the best means.

# %%
whole = params.mean + params.row_biases[:, None] + params.column_biases
whole = np.asarray(whole + params.row_factors @ params.column_factors.T)
fresh = np.ones(truth.shape, bool)
fresh[u[~held], i[~held]] = False


def first_ten(score):
    order = np.argsort(-np.where(fresh, score, -np.inf), axis=1)[:, :10]
    return np.take_along_axis(truth, order, axis=1).mean()


popular = np.broadcast_to(by_item, truth.shape)
assert first_ten(truth) > first_ten(whole) > first_ten(popular) + 0.5

liked = np.where(fresh, np.maximum(truth - 4, 0), 0.0)
some = 1.0 * (liked > 0).any(axis=1)  # a user who would like nothing more cannot be judged
gain, popular_gain = (
    float(recommendation.ndcg(score, liked, k=10, ranked=fresh, sample_weight=some))
    for score in (whole, popular)
)
print(f"normalised discounted gain {gain:.3f}, of the most popular {popular_gain:.3f}")
assert gain > 0.95 > 0.75 > popular_gain

# %% [markdown]
# ## Clicks instead of ratings
#
# Mostly nobody rates; one only sees what was taken, and what was not taken may be disliked or
# unknown. `implicit_feedback` takes each pair that was not seen for a weak no, with all pairs in
# the sum, and yet touches only those that were seen. Here users take items with a probability that
# rises with their rating; half of what they take is hidden.

# %%
taken = draw.uniform(size=truth.shape) < 1 / (1 + np.exp(-2 * (truth - 5.5)))
hidden = taken & (draw.uniform(size=truth.shape) < 0.5)
shown = taken & ~hidden
a, b = np.nonzero(shown)
begin = implicit_feedback.init(jax.random.key(2), (users, items), rank=5)
clicks = implicit_feedback.fit(begin, a, b, np.ones(len(a)), confidence=10.0, l2=10.0, max_steps=30)
liking = np.asarray(clicks.params.row_factors @ clicks.params.column_factors.T)
counts = np.broadcast_to(1.0 * shown.sum(axis=0), truth.shape)
some = 1.0 * hidden.any(axis=1)  # users with nothing hidden cannot be judged


def recall(score):
    return float(recommendation.recall_at(score, hidden, k=10, ranked=~shown, sample_weight=some))


ours, popular_ones = recall(liking), recall(counts)
assert ours > 1.3 * popular_ones > recall(draw.normal(size=truth.shape))
print(f"of what was hidden the first ten hold {ours:.0%}, of the most popular {popular_ones:.0%}")
