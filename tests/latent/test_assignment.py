"""Which centroid each row is nearest to: eq. (1)–(3), in blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.data import datasets
from mlmath.latent import assignment


@pytest.fixture(scope="module")
def data():
    X, _ = datasets.arrays("iris")
    return X, np.random.default_rng(0).uniform(0.5, 2.0, len(X)), X[[0, 60, 120, 121]]


def squares(X, C):
    return ((X[:, None] - C[None]) ** 2).sum(2)


def test_coordinates_are_their_definition(data):
    X, s, C = data
    rows = assignment.frame(X, s)
    z = (X - np.asarray(rows.origin)) / float(rows.unit)
    np.testing.assert_allclose(assignment.coordinates(rows, X), z, rtol=1e-12)
    assert 0.5 <= np.abs(z).max() < 1
    assert np.frexp(float(rows.unit))[0] == 0.5
    assert (np.abs(np.asarray(rows.origin) - X.mean(0)) <= np.ptp(X, axis=0) / 8).all()
    kappa = -2 * z @ ((C - np.asarray(rows.origin)) / float(rows.unit)).T  # (2)
    kappa += (((C - np.asarray(rows.origin)) / float(rows.unit)) ** 2).sum(1)
    np.testing.assert_allclose(
        (kappa + (z**2).sum(1)[:, None]) * float(rows.unit) ** 2, squares(X, C), atol=1e-12
    )
    np.testing.assert_array_equal(
        assignment.assign(rows, assignment.coordinates(rows, C)).labels, kappa.argmin(1)
    )


def test_the_spread_is_the_inertia_of_the_mean(data):
    X, s, _ = data
    rows = assignment.frame(X, s)
    mean = s @ X / s.sum()
    np.testing.assert_allclose(
        assignment.spread(rows) * rows.unit**2, s @ ((X - mean) ** 2).sum(1), rtol=1e-12
    )
    constant = assignment.frame(np.full((7, 2), 0.1), np.ones(7))
    assert assignment.spread(constant) == 0


def test_blocks_of_rows_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    X, s = rng.normal(size=(8 * 37, 3)), rng.uniform(size=8 * 37)
    C = X[:5] + 0.1
    rows = assignment.frame(X, s)
    whole = assignment.assign(rows, assignment.coordinates(rows, C))
    np.testing.assert_array_equal(whole.labels, squares(X, C).argmin(1))
    for most in (1, 5 * 8 * 4, 5 * 8 * 36):
        monkeypatch.setattr(assignment, "_BLOCK", most)
        parts = assignment.assign(rows, assignment.coordinates(rows, C))
        np.testing.assert_array_equal(parts.labels, whole.labels)
        np.testing.assert_allclose(parts.sums, whole.sums, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(parts.totals, whole.totals, rtol=1e-12)


def test_products_with_indicators_are_sums_of_segments():
    rng = np.random.default_rng(2)
    labels, s = jnp.asarray(rng.integers(5, size=(4, 50))), jnp.asarray(rng.uniform(size=50))
    Z, like = jnp.asarray(rng.normal(size=(50, 3))), jnp.zeros((5, 3))
    single = [assignment._sums(a, s, Z, like) for a in labels]
    np.testing.assert_allclose(assignment._products(labels[0], s, Z, like), single[0], rtol=1e-12)
    lanes = jax.vmap(lambda a: assignment._products(a, s, Z, like))(labels)
    np.testing.assert_allclose(lanes, single, rtol=1e-12)


def test_rows_lie_apart_from_the_nearest_centroid_that_is_present(data, monkeypatch):
    X, s, C = data
    rows = assignment.frame(X, s)
    Z = assignment.coordinates(rows, C)
    for most in (assignment._BLOCK, 9 * 4):
        monkeypatch.setattr(assignment, "_BLOCK", most)
        for present in (np.ones(4, bool), np.array([True, False, True, False])):
            apart = assignment.apart(rows, Z, present=present) * rows.unit**2
            np.testing.assert_allclose(apart, squares(X, C[present]).min(1), rtol=1e-12)


@pytest.mark.parametrize("held", [np.nan, np.inf, 1e300])
def test_an_absent_row_moves_neither_origin_nor_unit(held):
    rows = np.random.default_rng(9).normal(size=(50, 3)) + 4
    right = assignment.frame(rows, np.ones(50))
    found = assignment.frame(np.r_[rows, np.full((1, 3), held)], np.append(np.ones(50), 0))
    np.testing.assert_array_equal(found.origin, right.origin)
    np.testing.assert_array_equal(found.unit, right.unit)
    shown = assignment.frame(np.r_[rows, np.full((1, 3), held)], np.ones(51))
    assert np.isnan(shown.unit) == (not np.isfinite(held))
