"""Randomised singular values against the algorithm, numpy's, and the bound on their error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from mlmath.linalg import randomised, spectra


def matrix(values, n=30, d=20, seed=0):
    rng = np.random.default_rng(seed)
    m = len(values)
    U, V = (np.linalg.qr(rng.normal(size=(s, m)))[0] for s in (n, d))
    return U * np.asarray(values) @ V.T


DECAY = matrix(0.5 ** np.arange(20))
FLAT = matrix(np.linspace(1, 0.5, 20))


def error(A, found):
    return np.linalg.norm(A - found.left * found.values[None] @ found.right.T, 2)


def test_it_is_the_algorithm_of_halko_martinsson_and_tropp():
    """Eq. (1), (2), with numpy's factorisations and the same Gaussian vectors."""
    key = jax.random.key(3)
    draws, fresh = jax.random.split(key)
    Q = np.linalg.qr(FLAT @ np.asarray(jax.random.normal(draws, (20, 6))))[0]
    for _ in range(1):
        Q = np.linalg.qr(FLAT @ np.linalg.qr(FLAT.T @ Q)[0])[0]
    U, values, Vt = np.linalg.svd(Q.T @ FLAT, full_matrices=False)
    found = randomised.svd(key, FLAT, 4, oversampling=2, power_iterations=1, probes=5)
    np.testing.assert_allclose(found.values, values[:4], rtol=1e-10)
    approximation = (Q @ U[:, :4]) * values[:4] @ Vt[:4]
    np.testing.assert_allclose(
        found.left * found.values[None] @ found.right.T, approximation, atol=1e-10
    )
    beyond = (np.eye(30) - Q @ Q.T) @ FLAT @ np.asarray(jax.random.normal(fresh, (20, 5)))
    bound = 10 * np.sqrt(2 / np.pi) * np.linalg.norm(beyond, axis=0).max()
    np.testing.assert_allclose(found.outside, bound, rtol=1e-10)
    np.testing.assert_allclose(found.rest, bound + values[4], rtol=1e-10)
    assert np.linalg.norm((np.eye(30) - Q @ Q.T) @ FLAT, 2) <= bound


@pytest.mark.parametrize("A", [DECAY, DECAY.T, FLAT])
def test_leading_values_and_vectors_are_those_of_the_matrix(A):
    found = randomised.svd(jax.random.key(0), A, 3, power_iterations=20)
    right = spectra.svd(A)
    np.testing.assert_allclose(found.values, right.values[:3], rtol=1e-6)
    np.testing.assert_allclose(found.left.T @ found.left, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(found.right.T @ found.right, np.eye(3), atol=1e-12)
    V = np.asarray(found.right)
    assert (V[np.abs(V).argmax(axis=0), range(3)] > 0).all()


@pytest.mark.parametrize("A", [DECAY, FLAT])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_error_is_within_its_bound(A, dtype):
    """A hundred keys; one probe fails with probability up to 1/10, four with up to 1e-4."""
    A = A.astype(dtype)
    keys = jax.random.split(jax.random.key(1), 100)
    for probes, failures in [(1, 20), (4, 0)]:
        run = lambda key, probes=probes: randomised.svd(  # noqa: E731
            key, A, 3, oversampling=2, power_iterations=0, probes=probes
        )
        found = jax.vmap(run)(keys)
        errors = [error(A, jax.tree.map(lambda a, i=i: a[i], found)) for i in range(100)]
        assert np.sum(errors > np.asarray(found.rest)) <= failures
    assert np.median(found.rest / np.array(errors)) < 40


def test_power_iterations_bring_the_error_near_the_least_possible():
    errors = [
        error(FLAT, randomised.svd(jax.random.key(0), FLAT, 5, oversampling=2, power_iterations=q))
        for q in (0, 2, 30)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1.01 * np.linalg.svd(FLAT, compute_uv=False)[5]


@pytest.mark.parametrize("unit", [1e-20, 1.0, 1e20])
def test_a_matrix_of_low_rank_is_found_whole_at_any_scale(unit):
    A = matrix([3.0, 3.0, 1.0])
    found = randomised.svd(jax.random.key(0), (unit * A).astype(np.float32), 4)
    np.testing.assert_allclose(found.values / unit, [3, 3, 1, 0], atol=5e-6)
    scaled = found._replace(values=np.asarray(found.values, float) / unit)
    assert error(A, scaled) <= found.rest / unit <= 1e-3


def test_a_sparse_matrix_needs_its_products_alone():
    A = scipy.sparse.random(30, 20, 0.2, random_state=0, format="coo")
    data, row, column = jnp.asarray(A.data), jnp.asarray(A.row), jnp.asarray(A.col)
    linear = randomised.Linear(
        lambda x: jax.ops.segment_sum(data * x[column], row, 30),
        lambda y: jax.ops.segment_sum(data * y[row], column, 20),
    )
    key = jax.random.key(0)
    found = randomised.svd_of_map(key, linear, np.zeros(20), 4)
    right = randomised.svd(key, A.toarray(), 4)
    for x, y in zip(found, right, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-10)


def test_nothing_has_singular_values_0_and_one_number_its_modulus():
    found = randomised.svd(jax.random.key(0), np.zeros((4, 3)), 2)
    np.testing.assert_array_equal(found.values, 0)
    assert found.rest == 0
    one = randomised.svd(jax.random.key(0), np.array([[-2.0]]), 1)
    np.testing.assert_allclose([one.left[0, 0], one.values[0], one.right[0, 0]], [-1, 2, 1])


def test_a_missing_number_shows_and_a_draw_has_no_derivative():
    A = DECAY.copy()
    assert not jax.grad(lambda a: randomised.svd(jax.random.key(0), a, 2).values[0])(A).any()
    A[3, 3] = np.nan
    found = randomised.svd(jax.random.key(0), A, 2)
    assert all(np.isnan(a).all() for a in found)


@pytest.mark.parametrize(
    ("k", "wrong"), [(0, {}), (21, {}), (2, {"oversampling": -1}), (2, {"probes": 0})]
)
def test_sizes_that_do_not_fit_are_refused(k, wrong):
    with pytest.raises(ValueError, match="k must be from 1 to 20"):
        randomised.svd(jax.random.key(0), DECAY, k, **wrong)
