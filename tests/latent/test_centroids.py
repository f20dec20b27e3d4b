"""Centroids: eq. (1) and (2), their derivatives, and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans

import mlmath
from mlmath.data import datasets
from mlmath.latent import centroids


@pytest.fixture(scope="module")
def data():
    X, _ = datasets.arrays("iris")
    rng = np.random.default_rng(0)
    return X, X[[3, 60, 120, 121]] + 0.1, rng.uniform(0.5, 2.0, len(X))


def test_assignment_loss_and_inertia_are_their_definitions(data):
    X, C, s = data
    params = centroids.Params(jnp.asarray(C))
    total = 0.0
    for i in range(len(X)):
        squares = [sum((X[i, a] - c[a]) ** 2 for a in range(X.shape[1])) for c in C]
        total += s[i] * min(squares)  # (2)
        if i % 50 == 0:
            assert centroids.predict(params, X[i]) == int(np.argmin(squares))  # (1)
            np.testing.assert_allclose(centroids.loss(params, X[i]), min(squares), rtol=1e-12)
            np.testing.assert_allclose(centroids.transform(params, X[i]), np.sqrt(squares))
    np.testing.assert_allclose(centroids.objective(params, X, sample_weight=s), total, rtol=1e-12)


def test_matches_scikit_learn(data):
    X, C, _ = data
    peer = KMeans(4, init=C, n_init=1, max_iter=1).fit(X)
    peer.cluster_centers_ = C
    params = centroids.Params(jnp.asarray(C))
    np.testing.assert_array_equal(mlmath.rows(centroids.predict)(params, X), peer.predict(X))
    np.testing.assert_allclose(mlmath.rows(centroids.transform)(params, X), peer.transform(X))
    np.testing.assert_allclose(centroids.objective(params, X), -peer.score(X), rtol=1e-12)


def test_the_derivative_of_the_inertia_is_the_pull_of_its_rows(data):
    X, C, s = data
    labels = np.array([((x - C) ** 2).sum(1).argmin() for x in X])
    expected = [2 * (s[labels == j] @ (C[j] - X[labels == j])) for j in range(len(C))]
    params = centroids.Params(jnp.asarray(C))
    found = jax.grad(centroids.objective)(params, X, sample_weight=s).centroids
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)
    single = jax.vmap(jax.grad(centroids.loss), (None, 0))(params, X).centroids
    np.testing.assert_allclose(jnp.tensordot(s, single, 1), expected, rtol=1e-9, atol=1e-10)


def test_the_first_of_equally_near_centroids_counts():
    params = centroids.Params(jnp.array([[2.0], [0.0], [0.0]]))
    assert centroids.predict(params, jnp.array([1.0])) == 0
    assert centroids.predict(params, jnp.array([-1.0])) == 1


def test_two_examples_are_refused_with_the_way_to_batch(data):
    X, C, _ = data
    with pytest.raises(TypeError, match="it takes ONE example"):
        centroids.predict(centroids.Params(jnp.asarray(C)), X)
