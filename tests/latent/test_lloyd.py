"""Lloyd's step: eq. (1)–(3), and clusters that are empty."""

import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.data import datasets
from mlmath.latent import assignment, lloyd


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
    rows = assignment.frame(X, s)
    found = lloyd.step(rows, assignment.coordinates(rows, C))
    after, _, taken, gain = stepped(X, s, C)
    np.testing.assert_allclose(assignment.points(rows, found.centroids), after, rtol=1e-12)
    assert list(found.taken[found.taken < len(X)]) == taken
    np.testing.assert_allclose(found.gain * rows.unit**2, gain, rtol=1e-10)


def test_an_absent_centroid_takes_no_row_and_stays(data):
    X, s, C = data
    rows = assignment.frame(X, s)
    Z = assignment.coordinates(rows, C)
    padded = jnp.concatenate([Z[:2], jnp.full((1, 4), 7.0), Z[2:]])
    present = jnp.array([True, True, False, True, True])
    alone, among = lloyd.step(rows, Z), lloyd.step(rows, padded, present=present)
    keep = np.array([0, 1, 3, 4])
    np.testing.assert_allclose(alone.centroids, among.centroids[keep], rtol=1e-12)
    np.testing.assert_array_equal(among.centroids[2], 7.0)
    np.testing.assert_allclose(alone.gain, among.gain, rtol=1e-12)


def test_weightless_rows_are_never_taken(data):
    X, s, C = data
    C = np.concatenate([C[:1], np.full((1, 4), 1e3)])
    (farthest,) = stepped(X, s, C)[2]
    s = np.where(np.arange(len(X)) == farthest, 0.0, s)
    rows = assignment.frame(X, s)
    found = lloyd.step(rows, assignment.coordinates(rows, C))
    after, _, taken, _ = stepped(X, s, C)
    assert taken != [farthest]
    np.testing.assert_allclose(assignment.points(rows, found.centroids), after, rtol=1e-12)


def test_equal_rows_are_taken_once():
    X = np.array([[0.0], [0.0], [5.0], [5.0], [9.0], [9.0]])
    rows = assignment.frame(X, np.ones(6))
    C = np.array([[0.0], [50.0], [50.0], [50.0]])
    found = assignment.points(rows, lloyd.step(rows, assignment.coordinates(rows, C)).centroids)
    mean = X.mean()
    np.testing.assert_allclose(found[0], mean, rtol=1e-12)
    assert sorted(found[1:, 0].tolist()) == [0.0, 5.0, 9.0]
