"""Implicit feedback: eq. (1)–(5) over all pairs, Hu's loop in NumPy, held-out words of Cora.

What every fit to entries promises is examined in ``test_alternating.py``.
"""

import jax
import jax.numpy as jnp
import numpy as np

from mlmath import rows
from mlmath.evaluate import metrics
from mlmath.latent import implicit_feedback as mf

RNG = np.random.default_rng(0)
M, N, ALPHA, L2 = 8, 6, 3.0, 0.7


def clicks():
    R = RNG.poisson(0.7, size=(M, N)) * RNG.uniform(0.5, 2, size=(M, N))
    u, i = np.nonzero(R)
    return R, u, i, R[u, i]


def drawn(r=2):
    return mf.Params(*(jnp.asarray(RNG.normal(size=(k, r))) for k in (M, N)))


def test_the_objective_is_equation_2_over_all_pairs():
    R, u, i, values = clicks()
    params = drawn()
    X, Y = map(np.asarray, params)
    total = L2 / 2 * (np.sum(X**2) + np.sum(Y**2))
    for a in range(M):
        for b in range(N):
            predicted = sum(X[a] * Y[b])  # (1)
            np.testing.assert_allclose(mf.predict(params, a, b), predicted, rtol=1e-12)
            total += (1 + ALPHA * R[a, b]) * ((R[a, b] > 0) - predicted) ** 2 / 2
    found = mf.objective(params, u, i, values, confidence=ALPHA, l2=L2)
    np.testing.assert_allclose(found, total, rtol=1e-12)
    everywhere = np.indices((M, N)).reshape(2, -1)  # entries that are 0 say nothing new
    found = mf.objective(params, *everywhere, R.ravel(), confidence=ALPHA, l2=L2)
    np.testing.assert_allclose(found, total, rtol=1e-12)


def test_the_sum_over_all_pairs_is_equations_3_and_4():
    _, u, i, values = clicks()
    X, Y = map(np.asarray, drawn())
    s, p = RNG.uniform(0.5, 2, len(u)), np.sum(X[u] * Y[i], axis=1)
    bracket = (1 + ALPHA * values) * (1 - p) ** 2 - p**2
    right = np.sum((X @ Y.T) ** 2) + s @ bracket
    np.testing.assert_allclose(np.trace((X.T @ X) @ (Y.T @ Y)), np.sum((X @ Y.T) ** 2))
    given = {"confidence": ALPHA, "l2": 0.0, "sample_weight": s}
    found = mf.objective(mf.Params(jnp.asarray(X), jnp.asarray(Y)), u, i, values, **given)
    np.testing.assert_allclose(found, right / 2, rtol=1e-12)


def loop(R, X, Y):
    """A sweep of Hu, Koren & Volinsky (2008), eq. 4–5, with all of the matrix C."""

    def half(R, Y):
        solved = []
        for r in R:
            C, p = np.diag(1 + ALPHA * r), r > 0
            solved.append(np.linalg.solve(Y.T @ C @ Y + L2 * np.eye(2), Y.T @ C @ p))
        return np.array(solved)

    X = half(R, Y)
    U, sigma, _ = np.linalg.svd(X @ Y.T)
    X = U[:, :2] * np.sqrt(sigma[:2])
    return X, half(R.T, X)


def test_sweeps_are_those_of_the_paper_with_factors_in_balance():
    R, u, i, values = clicks()
    start = drawn()
    X, Y = map(np.asarray, start)
    for steps in (1, 2):
        X, Y = loop(R, X, Y)
        fitted = mf.fit(start, u, i, values, confidence=ALPHA, l2=L2, max_steps=steps)
        np.testing.assert_allclose(np.matmul(*_pair(fitted.params)), X @ Y.T, atol=1e-9)


def _pair(params):
    return np.asarray(params.row_factors), np.asarray(params.column_factors).T


def test_a_strong_penalty_prefers_nothing():
    _, u, i, values = clicks()
    fitted = mf.fit(drawn(), u, i, values, l2=1e9)
    np.testing.assert_allclose(np.matmul(*_pair(fitted.params)), 0, atol=1e-9)


def test_groups_that_share_no_item_are_told_apart():
    u, i = np.nonzero(np.kron(np.eye(2), np.ones((4, 3))))
    start = mf.init(jax.random.key(0), (8, 6), rank=2)
    fitted = mf.fit(start, u, i, np.ones(len(u)), l2=0.01)
    np.testing.assert_allclose(
        np.matmul(*_pair(fitted.params)), np.kron(np.eye(2), np.ones((4, 3))), atol=0.01
    )


def test_held_out_words_of_papers_are_found_better_than_by_popularity(shared):
    """Cora: which words a paper has, a fifth of each paper's left out."""
    data = np.load(shared / "datasets" / "cora" / "cora_planetoid.npz")
    paper = np.repeat(np.arange(data["n"]), np.diff(data["feat_indptr"]))
    word, size = data["feat_indices"], (int(data["n"]), int(data["d"]))
    held = np.random.default_rng(0).random(len(word)) < 0.2
    start = mf.init(jax.random.key(0), size, rank=16)
    seen = (~held).astype(np.float32)
    fitted = mf.fit(
        start, paper, word, np.ones(len(word), np.float32), confidence=10.0, l2=50.0,
        sample_weight=seen, max_steps=10,
    )  # fmt: skip
    train, test = np.zeros((2, *size), bool)
    train[paper[~held], word[~held]], test[paper[held], word[held]] = True, True
    given = {"ranked": ~train, "sample_weight": test.any(1).astype(np.float32)}
    popular = np.broadcast_to(train.sum(0).astype(np.float32), size)
    preferred = np.matmul(*_pair(fitted.params))
    for metric, least in [
        (metrics.ndcg, 1.08), (metrics.mean_average_precision, 1.25),
        (lambda *a, **k: metrics.recall_at(*a, k=20, **k), 1.2),
    ]:  # fmt: skip
        ours, theirs = (metric(score, test, **given) for score in (preferred, popular))
        assert ours > least * theirs
    pairs = rows(mf.predict)(fitted.params, paper[:50], word[:50])
    np.testing.assert_allclose(pairs, preferred[paper[:50], word[:50]], rtol=1e-4, atol=1e-5)
