"""Lloyd's step: eq. (1)–(4), and clusters that are empty."""

import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.data import datasets
from mlmath.latent import lloyd


@pytest.fixture(scope="module")
def data():
    X, _ = datasets.arrays("iris")
    return X, np.random.default_rng(0).uniform(0.5, 2.0, len(X)), X[[0, 60, 120, 121]]


def squares(X, C):
    return ((X[:, None] - C[None]) ** 2).sum(2)


def stepped(X, s, C):
    """One step in naive NumPy, the taken rows and what the step is sure to gain."""
    labels = squares(X, C).argmin(1)
    after, standing, taken, gain = np.array(C, float), [], [], 0.0
    for j in range(len(C)):
        own = labels == j
        if s[own].sum() > 0:
            after[j] = s[own] @ X[own] / s[own].sum()  # (1)
            gain += s[own].sum() * ((C[j] - after[j]) ** 2).sum()
            standing.append(j)
    for j in sorted(set(range(len(C))) - set(standing)):
        least = np.where(s != 0, squares(X, after[standing]).min(1), -1)
        taken.append(least.argmax())  # (2)
        gain += s[taken[-1]] * least[taken[-1]]  # (3)
        after[j] = X[taken[-1]]
        standing.append(j)
    return after, labels, taken, gain


@pytest.mark.parametrize("empty", [0, 1, 3])
def test_a_step_is_its_definition(data, empty):
    X, s, C = data
    C = np.concatenate([C[:1], np.full((empty, 4), 1e3), C[1:]])
    rows = lloyd.frame(X, s)
    found = lloyd.step(rows, lloyd.coordinates(rows, C))
    after, labels, taken, gain = stepped(X, s, C)
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_allclose(lloyd.points(rows, found.centroids), after, rtol=1e-12)
    assert list(found.taken[found.taken < len(X)]) == taken
    np.testing.assert_allclose(found.gain * rows.unit**2, gain, rtol=1e-10)


def test_coordinates_are_their_definition(data):
    X, s, C = data
    rows = lloyd.frame(X, s)
    z = (X - np.asarray(rows.origin)) / float(rows.unit)
    np.testing.assert_allclose(lloyd.coordinates(rows, X), z, rtol=1e-12)
    assert 0.5 <= np.abs(z).max() < 1
    assert np.frexp(float(rows.unit))[0] == 0.5
    assert (np.abs(np.asarray(rows.origin) - X.mean(0)) <= np.ptp(X, axis=0) / 8).all()
    kappa = -2 * z @ ((C - np.asarray(rows.origin)) / float(rows.unit)).T  # (4)
    kappa += (((C - np.asarray(rows.origin)) / float(rows.unit)) ** 2).sum(1)
    np.testing.assert_allclose(
        (kappa + (z**2).sum(1)[:, None]) * float(rows.unit) ** 2, squares(X, C), atol=1e-12
    )
    np.testing.assert_array_equal(
        lloyd.assign(rows, lloyd.coordinates(rows, C)).labels, kappa.argmin(1)
    )


def test_the_spread_is_the_inertia_of_the_mean(data):
    X, s, _ = data
    rows = lloyd.frame(X, s)
    mean = s @ X / s.sum()
    np.testing.assert_allclose(
        lloyd.spread(rows) * rows.unit**2, s @ ((X - mean) ** 2).sum(1), rtol=1e-12
    )
    constant = lloyd.frame(np.full((7, 2), 0.1), np.ones(7))
    assert lloyd.spread(constant) == 0


def test_blocks_of_rows_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    X, s = rng.normal(size=(8 * 37, 3)), rng.uniform(size=8 * 37)
    C = X[:5] + 0.1
    rows = lloyd.frame(X, s)
    whole = lloyd.assign(rows, lloyd.coordinates(rows, C))
    np.testing.assert_array_equal(whole.labels, squares(X, C).argmin(1))
    for most in (1, 5 * 8 * 4, 5 * 8 * 36):
        monkeypatch.setattr(lloyd, "_BLOCK", most)
        parts = lloyd.assign(rows, lloyd.coordinates(rows, C))
        np.testing.assert_array_equal(parts.labels, whole.labels)
        np.testing.assert_allclose(parts.sums, whole.sums, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(parts.totals, whole.totals, rtol=1e-12)


def test_products_with_indicators_are_sums_of_segments():
    rng = np.random.default_rng(2)
    labels, s = jnp.asarray(rng.integers(5, size=50)), jnp.asarray(rng.uniform(size=50))
    Z = jnp.asarray(rng.normal(size=(50, 3)))
    np.testing.assert_allclose(
        lloyd._products(labels, s, Z, 5), lloyd._segments(labels, s, Z, 5), rtol=1e-12
    )


def test_an_absent_centroid_takes_no_row_and_stays(data):
    X, s, C = data
    rows = lloyd.frame(X, s)
    Z = lloyd.coordinates(rows, C)
    padded = jnp.concatenate([Z[:2], jnp.full((1, 4), 7.0), Z[2:]])
    present = jnp.array([True, True, False, True, True])
    alone, among = lloyd.step(rows, Z), lloyd.step(rows, padded, present=present)
    keep = np.array([0, 1, 3, 4])
    np.testing.assert_array_equal(keep[alone.labels], among.labels)
    np.testing.assert_allclose(alone.centroids, among.centroids[keep], rtol=1e-12)
    np.testing.assert_array_equal(among.centroids[2], 7.0)
    np.testing.assert_allclose(alone.gain, among.gain, rtol=1e-12)


def test_weightless_rows_are_never_taken(data):
    X, s, C = data
    s = np.where(np.arange(len(X)) == 131, 0.0, s)  # the farthest of all
    C = np.concatenate([C[:1], np.full((1, 4), 1e3)])
    rows = lloyd.frame(X, s)
    found = lloyd.step(rows, lloyd.coordinates(rows, C))
    after, _, taken, _ = stepped(X, s, C)
    assert taken != [131]
    np.testing.assert_allclose(lloyd.points(rows, found.centroids), after, rtol=1e-12)


def test_equal_rows_are_taken_once():
    X = np.array([[0.0], [0.0], [5.0], [5.0], [9.0], [9.0]])
    rows = lloyd.frame(X, np.ones(6))
    C = np.array([[0.0], [50.0], [50.0], [50.0]])
    found = lloyd.points(rows, lloyd.step(rows, lloyd.coordinates(rows, C)).centroids)
    mean = X.mean()
    np.testing.assert_allclose(found[0], mean, rtol=1e-12)
    assert sorted(found[1:, 0].tolist()) == [0.0, 5.0, 9.0]
