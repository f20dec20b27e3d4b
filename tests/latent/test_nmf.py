"""Non-negative matrix factorisation: eq. (1)–(4), scikit-learn's from the same start, digits.

What every fit promises is examined in ``tests/test_contract.py``.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.datasets import load_digits
from sklearn.decomposition import NMF

from mlmath import rows
from mlmath.latent import nmf, nonnegative_codes, nonnegative_descent
from mlmath.linalg import nonnegative_least_squares
from tests.registry import CASES

RNG = np.random.default_rng(0)
both = pytest.mark.parametrize("fit", [nmf.fit, nmf.fit_multiplicative])


def drawn(n=40, d=6, noise=0.3, seed=1):
    """Rows of three parts, each with zeros, and noise that is not negative."""
    rng = np.random.default_rng(seed)
    parts = rng.random((3, d)) * (rng.random((3, d)) < 0.6)
    return rng.gamma(1.0, size=(n, 3)) @ parts + noise * rng.random((n, d)), parts


X = drawn()[0]
S = RNG.uniform(0.5, 2, 40)
START = X[:3] + 0.1
EDGES = next(c for c in CASES if c.name == "nmf").data(40)[0]  # zeros that zeros should be


def naive_objective(H, X, s):
    return sum(s[i] * nnls(H.T, X[i])[1] ** 2 / 2 for i in range(len(X)))  # (1)


@both
def test_no_step_raises_the_objective_and_each_gains_what_the_gap_says(fit):
    run = [fit(START, X, sample_weight=S, max_steps=t).certificate for t in range(20)]
    values = np.array([c.objective for c in run])
    assert (np.diff(values) <= 1e-14 * values[0]).all()
    assert values[-1] < 0.9 * values[0]
    if fit is nmf.fit:
        null = S @ np.sum(X**2, axis=1) / 2
        gains = np.array([c.gap for c in run[:-1]]) * null
        assert (gains <= -np.diff(values) + 1e-14 * values[0]).all()
        assert (gains >= 0.01 * -np.diff(values)).all()


@both
def test_the_answer_has_equation_1_as_objective_and_equation_3_as_form(fit):
    fitted = fit(START, X, sample_weight=S, max_steps=50)
    H = np.asarray(fitted.params.components)
    right = naive_objective(H, X, S)
    np.testing.assert_allclose(fitted.certificate.objective, right, rtol=1e-11)
    np.testing.assert_allclose(nmf.objective(fitted.params, X, sample_weight=S), right, rtol=1e-11)
    np.testing.assert_allclose(np.linalg.norm(H, axis=1), 1, rtol=1e-14)
    assert (H >= 0).all()


def test_the_answer_is_stationary_equation_4():
    fitted = nmf.fit(EDGES[[5, 1]], EDGES, sample_weight=S, tolerance=0.0)
    H = np.asarray(fitted.params.components)
    W = np.array([nnls(H.T, x)[0] for x in EDGES])
    A, B = (S[:, None] * W).T @ W, (S[:, None] * W).T @ EDGES
    slope = A @ H - B + np.diag(np.diag(A) * (np.sum(H**2, axis=1) - 1)) @ H
    assert np.abs(slope[H > 0]).max() < 1e-10 * np.abs(B).max()
    assert slope[H == 0].min() > 0
    assert (H == 0).sum() == 4
    assert fitted.certificate.converged


def test_a_multiplicative_step_is_lee_and_seungs_in_naive_numpy():
    H = START / np.linalg.norm(START, axis=1, keepdims=True)
    W = np.array([nnls(H.T, x)[0] for x in X])
    S_W = S[:, None] * W
    H = H * (S_W.T @ X) / (S_W.T @ W @ H)
    found = nmf.fit_multiplicative(START, X, sample_weight=S, max_steps=1).params.components
    np.testing.assert_allclose(found, H / np.linalg.norm(H, axis=1, keepdims=True), rtol=1e-10)


@pytest.mark.parametrize(("fit", "solver"), [(nmf.fit, "cd"), (nmf.fit_multiplicative, "mu")])
def test_scikit_learn_from_the_same_start_is_no_lower(fit, solver):
    start = EDGES[[5, 1]]
    W = np.ascontiguousarray(rows(nmf.transform)(nmf.Params(jnp.asarray(start)), EDGES)) + 1e-3
    peer = NMF(2, init="custom", solver=solver, tol=1e-8, max_iter=4000)
    W = peer.fit_transform(EDGES, W=W, H=start)
    right = np.sum((EDGES - W @ peer.components_) ** 2) / 2
    fitted = fit(EDGES[[5, 1]], EDGES, max_steps=4000)
    assert fitted.certificate.objective <= right * (1 + 1e-3)
    if solver == "cd":
        H = peer.components_ / np.linalg.norm(peer.components_, axis=1, keepdims=True)
        np.testing.assert_allclose(fitted.params.components, H, atol=1e-3)


def test_both_rules_end_in_the_same_place():
    start = EDGES[[5, 1]]
    one, other = nmf.fit(start, EDGES), nmf.fit_multiplicative(start, EDGES, max_steps=4000)
    np.testing.assert_allclose(one.params.components, other.params.components, atol=1e-3)
    np.testing.assert_allclose(one.certificate.objective, other.certificate.objective, rtol=1e-4)


def test_parts_of_which_each_has_pure_rows_are_recovered():
    rng = np.random.default_rng(3)
    parts = rng.random((4, 12)) * (rng.random((4, 12)) < 0.5)
    codes = np.concatenate([np.eye(4), rng.dirichlet(np.full(4, 0.3), 200)])
    fitted = nmf.fit(nmf.init_svd(codes @ parts, k=4), codes @ parts)
    right = parts / np.linalg.norm(parts, axis=1, keepdims=True)
    likeness = right @ np.asarray(fitted.params.components).T
    assert sorted(likeness.argmax(axis=1)) == [0, 1, 2, 3]
    assert likeness.max(axis=1).min() > 0.98
    assert fitted.certificate.objective < 1e-5 * np.sum((codes @ parts) ** 2) / 2


def test_one_component_is_the_leading_singular_vector():
    fitted = nmf.fit(START[:1], X, sample_weight=S)
    _, _, V = np.linalg.svd(np.sqrt(S)[:, None] * X)
    np.testing.assert_allclose(fitted.params.components[0], np.abs(V[0]), atol=1e-8)


def test_digits_held_out_are_made_of_parts_of_the_others():
    images = load_digits().data.astype(np.float32)
    train, test = images[:300], images[300:500]
    errors = []
    for k in (1, 4, 12):
        fitted = nmf.fit(nmf.init_svd(train, k=k), train, tolerance=1e-5)
        W = rows(nmf.transform)(fitted.params, test)
        rebuilt = rows(nmf.inverse)(fitted.params, W)
        assert fitted.certificate.converged
        errors.append(float(np.sum((test - rebuilt) ** 2) / np.sum(test**2)))
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 0.15
    assert np.mean(np.asarray(fitted.params.components) < 1e-3) > 0.4, "parts are sparse"


@both
def test_weights_are_repetition_and_absence(fit):
    counts = RNG.integers(0, 4, 40)
    holes = np.where(counts[:, None] == 0, np.nan, X)
    found = fit(START, holes, sample_weight=1.0 * counts, max_steps=30)
    right = fit(START, np.repeat(X, counts, axis=0), max_steps=30)
    np.testing.assert_allclose(found.params.components, right.params.components, atol=1e-9)
    np.testing.assert_allclose(found.certificate.objective, right.certificate.objective, rtol=1e-12)


@both
@pytest.mark.parametrize("value", [np.nan, np.inf, -1e-3])
def test_what_is_not_a_number_or_negative_shows_where_it_counts(fit, value):
    bad = np.array(X)
    bad[7, 1] = value
    for weight in (None, S):
        fitted = fit(START, bad, sample_weight=weight)
        assert np.isnan(fitted.params.components).all()
        assert np.isnan(fitted.certificate.gap)
        assert not fitted.certificate.converged
    absent = fit(START, bad, sample_weight=np.where(np.arange(40) == 7, 0, S), max_steps=30)
    assert np.isfinite(absent.params.components).all()


@both
def test_no_weight_at_all_proves_nothing(fit):
    fitted = fit(START, X, sample_weight=np.zeros(40))
    assert np.isnan(fitted.certificate.gap)
    assert not fitted.certificate.converged


@both
def test_sizes_that_cannot_be_are_refused(fit):
    with pytest.raises(ValueError, match=r"k must be from 1 to 6, .*got 0"):
        fit(START[:0], X)
    with pytest.raises(ValueError, match=r"k must be from 1 to 2, .*got 3"):
        fit(START, X[:2])
    with pytest.raises(ValueError, match="at least one row"):
        fit(START, X[:0])
    with pytest.raises(TypeError, match=r"X must be a float array of shape \(n, d\) with d = 6"):
        fit(START, X[:, :5])


def test_one_row_is_its_own_part():
    fitted = nmf.fit(START[:1], X[:1])
    np.testing.assert_allclose(fitted.params.components[0], X[0] / np.linalg.norm(X[0]), rtol=1e-9)
    assert fitted.certificate.objective < 1e-20
    assert fitted.certificate.converged


def test_fewer_distinct_rows_than_components_leave_nothing_out():
    few = np.repeat(X[:2], 20, axis=0)
    fitted = nmf.fit(few[[0, 20, 1]], few)
    assert fitted.certificate.objective < 1e-20
    assert fitted.certificate.converged
    assert np.isfinite(fitted.params.components).all()


def test_rank_deficient_rows_and_constant_columns_are_rows_like_others():
    x, one = X[:, 0], np.ones(40)
    low = np.stack([x, 2 * x, one, 0 * one, 3 * one, x + one], axis=1)
    fitted = nmf.fit(nmf.init_svd(low, k=3), low)
    assert fitted.certificate.objective < 1e-6 * np.sum(low**2)
    assert np.isfinite(fitted.params.components).all()
    assert (np.asarray(fitted.params.components)[:, 3] == 0).all()
    zeros = nmf.fit(START, np.zeros_like(X))
    assert zeros.certificate.objective == 0
    assert zeros.certificate.converged


ONE = np.abs(np.linalg.svd(X)[2][:1])  # the best single component
UNUSED = {"alike": np.tile(ONE, (2, 1)), "zeros": np.zeros((2, 6))}


@pytest.mark.parametrize("start", UNUSED.values(), ids=UNUSED)
def test_a_component_that_no_row_uses_finds_work_or_shows(start):
    value = nmf.fit(nmf.init_svd(X, k=2), X).certificate.objective
    fitted = nmf.fit(start, X)
    assert fitted.certificate.converged
    np.testing.assert_allclose(fitted.certificate.objective, value, rtol=0.05)
    assert (np.linalg.norm(fitted.params.components, axis=1) > 0.9).all()
    stuck = nmf.fit_multiplicative(start, X, max_steps=200)
    assert not stuck.certificate.converged
    begun = nmf.fit(start, X, max_steps=0).certificate
    after = nmf.fit(start, X, max_steps=1).certificate.objective
    sure = begun.gap * np.sum(X**2) / 2
    assert 0 < sure <= (begun.objective - after) * (1 + 1e-9)
    counts = np.arange(40) % 3
    weighed = nmf.fit(start, X, sample_weight=1.0 * counts).params.components
    again = nmf.fit(start, np.repeat(X, counts, axis=0)).params.components
    np.testing.assert_allclose(weighed, again, atol=1e-7)


def test_codes_whose_steps_did_not_suffice_are_not_converged(monkeypatch):
    rows_far = X[:33] + 30  # a shape that is not compiled yet
    assert nmf.fit(rows_far[:3], rows_far, tolerance=1e-8).certificate.converged
    monkeypatch.setattr(nonnegative_least_squares, "_SWEEPS", 0)
    monkeypatch.setattr(nonnegative_least_squares, "_STEPS", 0)
    nmf.fit.clear_cache()
    short = nmf.fit(rows_far[:3], rows_far, tolerance=1e-8, max_steps=20).certificate
    nmf.fit.clear_cache()
    assert short.gap > 0.5
    assert not short.converged
    monkeypatch.setattr(nonnegative_least_squares, "_SWEEPS", 1)
    gap = nmf.fit(rows_far[:3], rows_far, max_steps=0).certificate.gap
    nmf.fit.clear_cache()
    H = rows_far[:3] / np.linalg.norm(rows_far[:3], axis=1, keepdims=True)
    W, lacking = nonnegative_codes.of_rows(H, rows_far)
    A, B = nonnegative_codes.products(W, rows_far, np.ones(33))
    right = nonnegative_descent.sweeps(A, B, H)[1] + jnp.sum(lacking)
    np.testing.assert_allclose(gap * np.sum(rows_far**2) / 2, right, rtol=1e-6)
    assert jnp.sum(lacking) > 1e-4 * right


def test_rows_far_from_zero_are_right_in_float32_or_not_converged():
    far = (X + 30).astype(np.float32)
    fitted = nmf.fit(far[:3], far, max_steps=300)
    H = np.asarray(fitted.params.components, float)
    right = naive_objective(H, far.astype(float), np.ones(40))
    near = abs(fitted.certificate.objective - right) < 1e-2 * right
    assert near or not fitted.certificate.converged


def test_a_zero_that_ought_to_grow_keeps_multiplicative_updates_from_being_converged():
    held = np.where(np.arange(6) == X.mean(axis=0).argmax(), 0, START)
    stuck = nmf.fit_multiplicative(held, X)
    assert not stuck.certificate.converged
    assert stuck.certificate.gap > 1e-4
    free = nmf.fit(held, X)
    assert free.certificate.converged
    assert free.certificate.objective < 0.9 * stuck.certificate.objective


def test_the_objective_of_multiplicative_updates_has_the_derivative_of_the_envelope():
    fit = partial(nmf.fit_multiplicative, START, max_steps=20)
    found = jax.grad(lambda s: fit(X, sample_weight=s).certificate.objective)(jnp.asarray(S))
    params = fit(X, sample_weight=S).params
    np.testing.assert_allclose(found, rows(nmf.loss)(params, X), rtol=1e-9)
    slope = jax.grad(lambda s: jnp.sum(fit(X, sample_weight=s).params.components))(jnp.asarray(S))
    assert (slope == 0).all()


def test_a_sweep_over_starts_is_one_call():
    keys = jax.random.split(jax.random.key(0), 3)
    starts = jnp.stack([nmf.init_random(key, X, k=3) for key in keys])
    many = jax.vmap(lambda start: nmf.fit(start, X))(starts).certificate
    for lane in range(3):
        alone = nmf.fit(starts[lane], X).certificate
        np.testing.assert_allclose(many.objective[lane], alone.objective, rtol=1e-9)
