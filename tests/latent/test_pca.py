"""Principal component analysis: its formulas, Eckart and Young, streams, and awkward data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA

import mlmath
from mlmath.latent import pca

IRIS = load_iris().data


def weights(n, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 2, n)


def definition(X, s, k):
    """Mean, components and all λ by NumPy, eq. (3)."""
    mean = s @ X / s.sum()
    values, vectors = np.linalg.eigh((X - mean).T @ np.diag(s) @ (X - mean))
    V = vectors[:, ::-1][:, :k].T
    V = V * np.sign(V[np.arange(k), np.abs(V).argmax(1)])[:, None]
    return mean, V, values[::-1]


@pytest.mark.parametrize("shape", [(30, 5), (6, 11)])
def test_the_fit_is_equation_3(shape):
    X, s = np.random.default_rng(1).normal(size=shape) + 2, weights(shape[0])
    fitted = pca.fit(X, k=3, sample_weight=s)
    mean, V, values = definition(X, s, 3)
    np.testing.assert_allclose(fitted.params.mean, mean)
    np.testing.assert_allclose(fitted.params.components, V, atol=1e-10)
    np.testing.assert_allclose(fitted.params.variances, values[:3] / s.sum())
    np.testing.assert_allclose(fitted.explained, values[:3] / values.sum())


def test_many_rows_have_the_scores_and_derivatives_of_each():
    X, Z = np.random.default_rng(5).normal(size=(2, 4001, 150)) + 1e3
    params = pca.fit(X[:300], k=3).params

    def scores(params, X):
        return mlmath.rows(pca.transform)(params, X)

    def plain(params, X):
        return (X - params.mean[None]) @ params.components.T

    np.testing.assert_allclose(scores(params, X), plain(params, X), atol=1e-10)

    def slopes(f):
        first = jax.grad(lambda params, X: jnp.sum(f(params, X) ** 3), (0, 1))
        second = jax.grad(lambda params, X: first(params, X)[1].sum(), (0, 1))
        return first(params, X), second(params, X)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), slopes(scores), slopes(plain)
    )
    moved = jax.jvp(scores, (params, X), (params, Z))[1]
    np.testing.assert_allclose(moved, jax.jvp(plain, (params, X), (params, Z))[1], atol=1e-7)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_error_is_the_sum_of_the_discarded_eigenvalues(k):
    s = weights(150)
    fitted = pca.fit(IRIS, k=k, sample_weight=s)
    missed = definition(IRIS, s, k)[2][k:].sum()
    np.testing.assert_allclose(fitted.certificate.objective, missed, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(
        pca.objective(fitted.params, IRIS, sample_weight=s), missed, rtol=1e-9, atol=1e-10
    )


def test_no_other_plane_does_better():
    fitted = pca.fit(IRIS, k=2)
    rng = np.random.default_rng(0)
    for size in (1e-3, 0.1, 10.0):
        V = fitted.params.components.T + size * rng.normal(size=(4, 2))
        other = fitted.params._replace(components=np.linalg.qr(V)[0].T)
        assert pca.objective(other, IRIS) > fitted.certificate.objective


def test_the_objective_is_equation_2_and_functions_are_equations_1_and_4():
    params, s = pca.fit(IRIS, k=2).params, weights(150)
    mean, V, variances = map(np.asarray, params)
    missed = ((IRIS - mean) @ (np.eye(4) - V.T @ V)) ** 2
    np.testing.assert_allclose(pca.objective(params, IRIS, sample_weight=s), s @ missed.sum(1))
    x = IRIS[7]
    z = V @ (x - mean)
    np.testing.assert_allclose(pca.transform(params, x), z)
    np.testing.assert_allclose(pca.inverse(params, z), mean + V.T @ z)
    np.testing.assert_allclose(pca.whiten(params, x), z / np.sqrt(variances))
    np.testing.assert_allclose(pca.unwhiten(params, z / np.sqrt(variances)), mean + V.T @ z)
    np.testing.assert_allclose(pca.loss(params, x), missed[7].sum())


def test_whitened_scores_have_the_covariance_of_the_identity():
    s = weights(150)
    params = pca.fit(IRIS, k=3, sample_weight=s).params
    W = np.asarray(mlmath.rows(pca.whiten)(params, IRIS))
    np.testing.assert_allclose(s @ W, 0, atol=1e-9)
    np.testing.assert_allclose(W.T @ np.diag(s) @ W / s.sum(), np.eye(3), atol=1e-9)


@pytest.mark.parametrize("n", [150, 3])
def test_scikit_learn_finds_the_same_but_for_n_minus_1_and_signs(n):
    X = IRIS[:: 150 // n][:n]
    ours, theirs = pca.fit(X, k=2), PCA(2, svd_solver="full").fit(X)
    signs = np.sign((np.asarray(ours.params.components) * theirs.components_).sum(1))
    np.testing.assert_allclose(
        ours.params.components, theirs.components_ * signs[:, None], atol=1e-9
    )
    variances = theirs.explained_variance_ * (n - 1) / n
    np.testing.assert_allclose(ours.params.variances, variances, rtol=1e-9)
    np.testing.assert_allclose(ours.explained, theirs.explained_variance_ratio_, rtol=1e-9)


def test_the_entry_of_largest_modulus_is_positive():
    V = np.asarray(pca.fit(-IRIS, k=4).params.components)
    assert (V[np.arange(4), np.abs(V).argmax(1)] > 0).all()


def test_both_sides_of_the_matrix_give_the_same():
    """Rows of weight 0 make a wide matrix narrow and change nothing else."""
    X, s = np.random.default_rng(2).normal(size=(7, 10)), weights(7)
    tall = np.concatenate([X, np.full((8, 10), np.nan)])
    wide = pca.fit(X, k=4, sample_weight=s)
    narrow = pca.fit(tall, k=4, sample_weight=np.append(s, np.zeros(8)))
    for ours, theirs in zip(jax.tree.leaves(wide[0]), jax.tree.leaves(narrow[0]), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-10)
    np.testing.assert_allclose(wide.certificate.objective, narrow.certificate.objective)


def test_a_rotation_turns_the_components_and_a_shift_moves_the_mean():
    Q, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))
    ours, turned = pca.fit(IRIS, k=2).params, pca.fit(IRIS @ Q.T + 5, k=2).params
    np.testing.assert_allclose(turned.mean, Q @ ours.mean + 5)
    np.testing.assert_allclose(turned.variances, ours.variances)
    planes = [p.components.T @ p.components for p in (ours, turned)]
    np.testing.assert_allclose(planes[1], Q @ planes[0] @ Q.T, atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 4).map(lambda block: 30 * block), max_size=4, unique=True))
def test_a_stream_of_blocks_equals_one_array(cuts):
    s = weights(150)
    blocks = zip(np.split(IRIS, sorted(cuts)), np.split(s, sorted(cuts)), strict=True)
    moments = [pca.summarize(X, sample_weight=w) for X, w in blocks]
    total = moments[0]
    for block in moments[1:]:
        total = pca.merge(total, block)
    whole, streamed = pca.fit(IRIS, k=3, sample_weight=s), pca.solve(total, k=3)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(streamed), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_no_rows_at_all_have_no_components():
    empty = pca.summarize(np.full((5, 4), np.nan), sample_weight=np.zeros(5))
    assert not pca.solve(empty).certificate.converged


def test_a_stream_far_from_zero_keeps_its_digits_in_float32():
    X = (IRIS + 1000).astype(np.float32)
    total = pca.summarize(X[:10])
    for first in range(10, 150, 20):
        total = pca.merge(total, pca.summarize(X[first : first + 20]))
    exact = definition(np.asarray(X, float), np.ones(150), 2)[2]
    np.testing.assert_allclose(pca.solve(total).params.variances * 150, exact[:2], rtol=2e-4)


def test_random_directions_find_the_components_that_the_spectrum_has():
    s = weights(1797)
    X = load_digits().data
    exact = pca.fit(X, k=10, sample_weight=s)
    found = pca.fit_randomised(jax.random.key(0), X, k=10, sample_weight=s, max_steps=60)
    assert found.certificate.converged
    assert 1 < found.certificate.steps < 60
    np.testing.assert_allclose(found.params.components, exact.params.components, atol=1e-4)
    np.testing.assert_allclose(found.params.variances, exact.params.variances, rtol=1e-8)
    np.testing.assert_allclose(found.explained, exact.explained, rtol=1e-8)
    np.testing.assert_allclose(
        found.certificate.objective,
        pca.objective(found.params, X, sample_weight=s),
        rtol=1e-9,
    )


def test_random_directions_that_were_stopped_say_how_far_they_are():
    X = load_digits().data
    exact = pca.fit(X, k=10)
    null = exact.certificate.objective / (1 - exact.explained.sum())
    for steps in (1, 2, 3, 5):
        found = pca.fit_randomised(jax.random.key(0), X, k=10, max_steps=steps).certificate
        assert found.steps == steps
        assert not found.converged
        assert found.gap >= (found.objective - exact.certificate.objective) / null


def test_random_directions_leave_absent_rows_out_and_show_what_counts():
    X, key = np.array(IRIS), jax.random.key(1)
    X[3] = np.nan
    s = np.where(np.arange(150) == 3, 0.0, 1.0)
    absent = pca.fit_randomised(key, X, k=2, sample_weight=s)
    fewer = pca.fit_randomised(key, np.delete(IRIS, 3, axis=0), k=2)
    np.testing.assert_allclose(absent.params.components, fewer.params.components, atol=1e-6)
    for weight in (None, s + 1):
        shown = pca.fit_randomised(key, X, k=2, sample_weight=weight)
        assert np.isnan(shown.certificate.gap)
        assert np.isnan(shown.params.components).all()
    assert np.isnan(pca.fit_randomised(key, IRIS, sample_weight=0 * s).certificate.gap)


def test_the_objective_of_random_directions_has_the_derivative_of_the_envelope():
    def value(t, how):
        return how(IRIS * (1 + t * np.sin(np.arange(4))[None]), k=2).certificate.objective

    drawn = jax.grad(value)(0.0, lambda X, k: pca.fit_randomised(
        jax.random.key(0), X, k=k, max_steps=60, tolerance=0.0
    ))  # fmt: skip
    np.testing.assert_allclose(drawn, jax.grad(value)(0.0, pca.fit), rtol=1e-6)


def test_random_directions_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="k must be from 1 to 4"):
        pca.fit_randomised(jax.random.key(0), IRIS, k=5)
    with pytest.raises(ValueError, match="oversampling must be at least 0"):
        pca.fit_randomised(jax.random.key(0), IRIS, oversampling=-1)


def test_digits_are_reconstructed_the_better_the_more_components():
    X = load_digits().data.astype(np.float32)
    errors = []
    for k in (1, 5, 20, 64):
        fitted = pca.fit(X, k=k)
        assert fitted.certificate.converged
        errors.append(float(fitted.certificate.objective))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-6 * errors[0]


def test_the_reconstruction_has_a_derivative_where_values_repeat():
    corners = np.array(
        [[1.0, 1, 0], [1, -1, 0], [-1, 1, 0], [-1, -1, 0], [0, 0, 0.1], [0, 0, -0.1]]
    )
    x, dX = np.array([0.3, -0.2, 0.5]), np.random.default_rng(0).normal(size=corners.shape)

    def back(t):
        params = pca.fit(corners + t * dX, k=2).params
        return pca.inverse(params, pca.transform(params, x))

    h = 1e-5
    np.testing.assert_allclose(
        jax.jvp(back, (0.0,), (1.0,))[1], (back(h) - back(-h)) / (2 * h), atol=1e-6
    )


@pytest.mark.parametrize("k", [0, -1, 5])
def test_a_number_of_components_that_does_not_fit_is_refused(k):
    with pytest.raises(ValueError, match="k must be from 1 to 4"):
        pca.fit(IRIS, k=k)
    with pytest.raises(ValueError, match="k must be from 1 to 4"):
        pca.solve(pca.summarize(IRIS), k=k)
    with pytest.raises(ValueError, match="k must be from 1 to 3"):
        pca.fit(IRIS[:3], k=4)
    with pytest.raises(ValueError, match="at least one row"):
        pca.fit(IRIS[:0])


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_are_all_the_same_miss_nothing(rows, dtype):
    fitted = pca.fit(np.full((rows, 2), 0.1, dtype), k=1)
    np.testing.assert_allclose(fitted.params.mean, 0.1, rtol=1e-6)
    np.testing.assert_allclose(fitted.params.variances, 0, atol=1e-12)
    np.testing.assert_allclose(fitted.certificate.objective, 0, atol=1e-12)
    exactly = pca.fit(np.full((rows, 2), 0.5, dtype), k=1).certificate
    assert exactly.converged
    assert exactly.gap == 0


def test_constant_columns_and_a_deficient_rank_have_variance_zero():
    X = np.c_[IRIS, IRIS[:, :1] + IRIS[:, 1:2], np.ones(150)]
    fitted = pca.fit(X, k=6)
    assert fitted.certificate.converged
    np.testing.assert_allclose(fitted.params.variances[4:], 0, atol=1e-13)
    np.testing.assert_allclose(fitted.params.components[:, 5][:4], 0, atol=1e-12)


@pytest.mark.parametrize("shape", [(20, 3), (4, 9)])
@pytest.mark.parametrize("unit", [1e-30, 1e-22])
def test_squares_that_leave_the_range_of_the_dtype_are_not_proved(shape, unit):
    X = (np.random.default_rng(0).normal(size=shape) * unit).astype(np.float32)
    fitted = pca.fit(X, k=2)
    assert np.isnan(fitted.certificate.gap)
    if shape[1] < shape[0]:
        assert np.isnan(pca.solve(pca.summarize(X)).certificate.gap)


def test_a_negative_weight_proves_nothing():
    s = weights(150)
    s[3] = -0.1
    assert np.isnan(pca.fit(IRIS, sample_weight=s).certificate.gap)


def test_a_bootstrap_is_one_call():
    rng = np.random.default_rng(0)
    counts = rng.multinomial(150, np.ones(150) / 150, size=5).astype(float)
    many = jax.vmap(lambda s: pca.fit(IRIS, k=2, sample_weight=s))(counts)
    for b in range(5):
        alone = pca.fit(np.repeat(IRIS, counts[b].astype(int), axis=0), k=2)
        np.testing.assert_allclose(many.params.components[b], alone.params.components, atol=1e-8)
    assert jnp.all(many.certificate.converged)


@pytest.mark.parametrize("unit", [1e-15, 1e12, 1e15])
def test_single_precision_is_certified_in_any_unit(unit):
    X = np.random.default_rng(5).normal(size=(300, 4)) * unit
    found = pca.fit(X.astype(np.float32), k=2)
    assert found.certificate.converged
    np.testing.assert_allclose(found.explained, pca.fit(X, k=2).explained, rtol=1e-4)


@pytest.mark.parametrize("n", [100, 9000])
def test_of_equal_rows_nothing_is_missed(n):
    X = np.full((n, 3), 0.1, np.float32)
    for found in (pca.fit(X, k=1), pca.fit_randomised(jax.random.key(0), X, k=1)):
        assert found.certificate.gap == 0
    assert np.isnan(pca.solve(pca.summarize(X), k=1).certificate.gap)


def test_many_rows_far_from_0_have_the_variances_of_those_near_it():
    X = np.random.default_rng(6).normal(size=(100_000, 3)) * [5, 3, 2]
    s = (np.arange(len(X)) % 61 != 0).astype(np.float32)
    near = pca.fit(X, k=2, sample_weight=s).params.variances
    for weight in (s, None):
        far = pca.fit((1e5 + X).astype(np.float32), k=2, sample_weight=weight)
        np.testing.assert_allclose(far.params.variances, near, rtol=0.02)
    single = pca.fit((1e5 + X).astype(np.float32).astype(float), k=2, sample_weight=s)
    far = pca.fit((1e5 + X).astype(np.float32), k=2, sample_weight=s)
    np.testing.assert_allclose(far.params.variances, single.params.variances, rtol=2e-4)


@pytest.mark.parametrize("held", [1e20, 3e38])
def test_random_directions_leave_a_far_row_of_weight_0_out(held):
    rng, key = np.random.default_rng(7), jax.random.key(0)
    X = (rng.normal(size=(40, 6)) * np.arange(1, 7)).astype(np.float32)
    far, s = np.concatenate([X, np.full((1, 6), held, np.float32)]), np.append(np.ones(40), 0)
    found = pca.fit_randomised(key, far, k=2, sample_weight=s.astype(np.float32))
    right = pca.fit_randomised(key, X, k=2)
    np.testing.assert_allclose(found.params.variances, right.params.variances, rtol=1e-5)
    np.testing.assert_allclose(found.certificate.gap, right.certificate.gap, atol=1e-6)
    objective = pca.objective(right.params, far, sample_weight=s.astype(np.float32))
    np.testing.assert_allclose(objective, pca.objective(right.params, X), rtol=1e-5)
