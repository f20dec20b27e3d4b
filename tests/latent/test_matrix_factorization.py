"""Matrix factorisation: eq. (1)–(2), ALS in naive NumPy, known rank, held-out pixels of digits.

What every fit to entries promises is examined in ``test_alternating.py``.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.datasets import load_digits

from mlmath import rows
from mlmath.latent import matrix_factorization as mf

RNG = np.random.default_rng(0)


def drawn(m=7, n=6, r=2):
    shapes = (m, r), (n, r), (m,), (n,), ()
    return mf.Params(*(jnp.asarray(RNG.normal(size=shape)) for shape in shapes))


def entries(m=7, n=6, share=0.8):
    u, i = np.nonzero(RNG.random((m, n)) < share)
    return u, i, 3 + RNG.normal(size=len(u)), RNG.uniform(0.5, 2, len(u))


def naive_objective(params, u, i, values, s, l2):
    P, Q, b, c, mean = map(np.asarray, params)
    total = 0.0
    for e in range(len(u)):
        predicted = mean + b[u[e]] + c[i[e]] + sum(P[u[e]] * Q[i[e]])  # (1)
        total += s[e] * (values[e] - predicted) ** 2 / 2
    return total + l2 / 2 * sum((a**2).sum() for a in (P, Q, b, c))  # (2)


def test_predictions_loss_and_objective_are_equations_1_and_2():
    params, (u, i, values, s) = drawn(), entries()
    right = naive_objective(params, u, i, values, s, 0.7)
    found = mf.objective(params, u, i, values, l2=0.7, sample_weight=s)
    np.testing.assert_allclose(found, right, rtol=1e-12)
    losses = rows(mf.loss)(params, u, i, values)
    penalty = sum(np.sum(np.asarray(a) ** 2) for a in params[:4])
    np.testing.assert_allclose(s @ np.asarray(losses) + 0.35 * penalty, right, rtol=1e-12)


def test_a_sweep_is_alternating_least_squares_in_naive_numpy():
    params, (u, i, values, s) = drawn(), entries()
    P, Q, b, c, mean = (np.array(a) for a in params)
    mean = np.average(values - b[u] - c[i] - np.sum(P[u] * Q[i], axis=1), weights=s)
    for j in range(len(P)):
        e = u == j
        F = np.c_[Q[i[e]], np.ones(e.sum())]
        A = F.T @ np.diag(s[e]) @ F + 0.7 * np.eye(3)
        solved = np.linalg.solve(A, F.T @ (s[e] * (values[e] - mean - c[i[e]])))
        P[j], b[j] = solved[:2], solved[2]
    U, sigma, _ = np.linalg.svd(P @ Q.T)
    P = U[:, :2] * np.sqrt(sigma[:2])
    for j in range(len(Q)):
        e = i == j
        F = np.c_[P[u[e]], np.ones(e.sum())]
        A = F.T @ np.diag(s[e]) @ F + 0.7 * np.eye(3)
        solved = np.linalg.solve(A, F.T @ (s[e] * (values[e] - mean - b[u[e]])))
        Q[j], c[j] = solved[:2], solved[2]
    one = mf.fit(params, u, i, values, l2=0.7, sample_weight=s, max_steps=1).params
    np.testing.assert_allclose(one.mean, mean, rtol=1e-10)
    np.testing.assert_allclose(one.row_biases, b, atol=1e-10)
    np.testing.assert_allclose(one.column_biases, c, atol=1e-10)
    np.testing.assert_allclose(one.row_factors @ one.column_factors.T, P @ Q.T, atol=1e-9)


def test_the_answer_is_a_minimum_that_scipy_finds_too():
    params, (u, i, values, s) = drawn(), entries()
    fitted = mf.fit(params, u, i, values, l2=0.7, sample_weight=s)

    def value(v):
        split = np.split(v, np.cumsum([np.size(a) for a in params])[:-1])
        parts = [a.reshape(np.shape(b)) for a, b in zip(split, params, strict=True)]
        return naive_objective(parts, u, i, values, s, 0.7)

    best = min(minimize(value, RNG.normal(size=40)).fun for _ in range(3))
    np.testing.assert_allclose(fitted.certificate.objective, best, rtol=1e-6)


def test_a_strong_penalty_is_the_weighted_mean():
    params, (u, i, values, s) = drawn(), entries()
    fitted = mf.fit(params, u, i, values, l2=1e9, sample_weight=s)
    np.testing.assert_allclose(rows(mf.predict)(fitted.params, u, i), np.average(values, weights=s))


def test_ratings_of_known_rank_recover_their_matrix():
    rng = np.random.default_rng(1)
    matrix = 3 + rng.normal(size=(60, 3)) @ rng.normal(size=(3, 40))
    u, i = np.nonzero(rng.random((60, 40)) < 0.5)
    start = mf.init(jax.random.key(0), (60, 40), rank=3)
    fitted = mf.fit(start, u, i, matrix[u, i], l2=1e-3, max_steps=300)
    everywhere = np.divmod(np.arange(2400), 40)
    found = np.asarray(rows(mf.predict)(fitted.params, *everywhere)).reshape(60, 40)
    assert np.sqrt(np.mean((found - matrix) ** 2)) < 0.01 * matrix.std()


def test_held_out_pixels_of_digits_are_better_than_by_biases_or_means_alone():
    images = load_digits().data[:400].astype(np.float32) / 16
    u, i = np.divmod(np.arange(images.size), 64)
    held = np.random.default_rng(2).random(images.size) < 0.2
    start = mf.init(jax.random.key(0), images.shape, rank=10)
    values, seen = images.ravel(), (~held).astype(np.float32)
    values = np.where(held, np.nan, values)  # weight 0: whatever it holds

    def error(l2, scale):
        first = start._replace(column_factors=scale * start.column_factors)
        params = mf.fit(first, u, i, values, l2=l2, sample_weight=seen, tolerance=1e-6).params
        return np.sqrt(np.mean((rows(mf.predict)(params, u, i) - images.ravel())[held] ** 2))

    means = np.nanmean(values.reshape(images.shape), axis=0)
    by_means = np.sqrt(np.mean((np.tile(means, 400) - images.ravel())[held] ** 2))
    by_biases, by_factors = error(1.0, 0.0), error(1.0, 1.0)
    assert by_factors < 0.7 * min(by_biases, by_means)  # of three draws: 0.63, 0.64 and 0.66
    assert by_biases < images.ravel().std()


def test_a_row_without_entries_has_no_factors():
    params, (u, i, values, _) = drawn(), entries()
    fitted = mf.fit(params, u, i, values, sample_weight=(u != 2).astype(float)).params
    np.testing.assert_array_equal(fitted.row_factors[2], 0)
    assert fitted.row_biases[2] == 0
    np.testing.assert_allclose(
        mf.predict(fitted, 2, 4), fitted.mean + fitted.column_biases[4], rtol=1e-12
    )


def test_without_a_penalty_too_few_entries_prove_nothing():
    params, (u, i, values, _) = drawn(), entries()
    alone = (u != 2) | (i == i[u == 2][0])
    certificate = mf.fit(params, u[alone], i[alone], values[alone], l2=0.0).certificate
    assert np.isnan(certificate.gap)
    assert not certificate.converged


def test_one_value_everywhere_is_exact():
    params, (u, i, _, _) = drawn(), entries()
    fitted = mf.fit(params, u, i, np.full(len(u), 4.0))
    np.testing.assert_allclose(rows(mf.predict)(fitted.params, u, i), 4, rtol=1e-6)


@pytest.mark.parametrize("rank", [1, 6])
def test_the_start_has_the_sizes_that_were_asked_for(rank):
    start = mf.init(jax.random.key(3), (7, 6), rank=rank)
    assert [a.shape for a in start] == [(7, rank), (6, rank), (7,), (6,), ()]
    many = mf.init(jax.random.key(3), (2000, 50), rank=rank).row_factors
    np.testing.assert_allclose(np.mean(np.asarray(many) ** 2), 1 / rank, rtol=0.1)
    assert not np.allclose(start.row_factors[:6], start.column_factors)
