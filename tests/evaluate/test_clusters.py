"""How good clusters are: eq. (1)–(6), the law of the weights, and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, silhouette_samples, silhouette_score

from mlmath.data import datasets
from mlmath.evaluate import clusters
from mlmath.latent import kmeans


@pytest.fixture(scope="module")
def iris():
    X, _ = datasets.arrays("iris")
    start = X[[3, 60, 130]]
    params = kmeans.fit(start, X).params
    return X, np.asarray(jax.vmap(kmeans.predict, (None, 0))(params, X))


def naive(X, label, s):
    """Eq. (1) and (2) row by row."""
    values = []
    for i in range(len(X)):
        d = np.sqrt(((X - X[i]) ** 2).sum(1))
        own = label == label[i]
        others = s[own].sum() - min(s[i], 1)
        if others == 0:
            values.append(0.0)
            continue
        a = s[own] @ d[own] / others
        b = min(
            s[label == c] @ d[label == c] / s[label == c].sum()
            for c in set(label[s > 0]) - {label[i]}
        )
        values.append((b - a) / max(a, b))
    return np.array(values)


def test_silhouettes_are_their_definition_and_scikit_learns(iris):
    X, label = iris
    found = clusters.silhouette(X, label, classes=3)
    np.testing.assert_allclose(found.values, naive(X, label, np.ones(150)), rtol=1e-9)
    np.testing.assert_allclose(found.values, silhouette_samples(X, label), rtol=1e-9)
    np.testing.assert_allclose(found.mean, silhouette_score(X, label), rtol=1e-12)
    s = np.random.default_rng(0).uniform(0.2, 3, 150)
    weighted = clusters.silhouette(X, label, classes=3, sample_weight=s)
    np.testing.assert_allclose(weighted.values, naive(X, label, s), rtol=1e-9)
    np.testing.assert_allclose(weighted.mean, s @ naive(X, label, s) / s.sum(), rtol=1e-9)


def test_a_weight_is_a_repetition_and_zero_an_absence(iris):
    X, label = iris
    counts = np.random.default_rng(1).integers(0, 4, 150)
    holes = np.where(counts[:, None] == 0, np.nan, X)
    weighted = clusters.silhouette(holes, label, classes=4, sample_weight=counts.astype(float))
    twice, names = np.repeat(X, counts, axis=0), np.repeat(label, counts)
    peer = silhouette_samples(twice, names)
    np.testing.assert_allclose(np.repeat(weighted.values, counts), peer, rtol=1e-6)
    np.testing.assert_allclose(weighted.mean, peer.mean(), rtol=1e-7)
    ours = clusters.silhouette(twice, names, classes=4)
    np.testing.assert_allclose(np.repeat(weighted.values, counts), ours.values, rtol=1e-10)
    influence = jax.grad(lambda s: clusters.silhouette(X, label, classes=3, sample_weight=s).mean)(
        counts.astype(float)
    )
    i, h = int(np.flatnonzero(counts == 0)[0]), 1e-5
    up = counts + h * (np.arange(150) == i)
    change = clusters.silhouette(X, label, classes=3, sample_weight=up).mean - weighted.mean
    np.testing.assert_allclose(influence[i], change / h, rtol=1e-3)


def test_blocks_of_rows_change_nothing(iris, monkeypatch):
    X, label = iris
    reference = clusters.silhouette(X, label, classes=3)
    jax.clear_caches()
    monkeypatch.setattr(clusters, "_BLOCK", 1000)
    parts = clusters.silhouette(X, label, classes=3)
    np.testing.assert_allclose(parts.values, reference.values, rtol=1e-12)
    jax.clear_caches()


def test_a_lone_row_is_0_and_a_lone_cluster_is_not_a_number():
    X = np.array([[0.0], [1.0], [5.0], [5.0]])
    found = clusters.silhouette(X, np.array([0, 1, 2, 2]), classes=3)
    np.testing.assert_allclose(found.values, [0, 0, 1, 1])
    assert np.isnan(clusters.silhouette(X, np.zeros(4, int), classes=3).mean)
    same = clusters.silhouette(np.zeros((4, 1)), np.array([0, 0, 1, 1]), classes=2)
    np.testing.assert_array_equal(same.values, 0)


def test_the_silhouette_has_the_derivative_of_differences(iris):
    X, label = iris
    V = np.random.default_rng(2).normal(size=X.shape)

    def mean(t):
        return clusters.silhouette(X + t * V, label, classes=3).mean

    h = 1e-5
    np.testing.assert_allclose(
        jax.jit(jax.grad(mean))(0.0), (mean(h) - mean(-h)) / (2 * h), rtol=1e-6
    )


def box_inertias(key, X, *, sample_weight):
    """W of k = 1 … 4 by k-means."""
    found = kmeans.sweep(key, X, sizes=(1, 2, 3, 4), seeds=3, sample_weight=sample_weight)
    return jnp.min(found.certificate.objective, axis=1)


def test_the_gap_is_its_definition():
    X = np.random.default_rng(4).normal(size=(30, 2)) * [1.0, 5.0]
    s = np.random.default_rng(5).uniform(size=30)

    def inertias(key, X, *, sample_weight):
        total = jnp.sum(sample_weight[:, None] * X**2) + jax.random.uniform(key)
        return total / jnp.arange(1.0, 5.0)

    key = jax.random.key(0)
    found = clusters.gap_statistic(key, inertias, X, references=7, sample_weight=s)
    keys, logs = jax.random.split(key, 8), []
    for k in keys[1:]:
        draw, fit = jax.random.split(k)
        u = np.asarray(jax.random.uniform(draw, X.shape))
        box = X.min(0) + u * (X.max(0) - X.min(0))
        logs.append(np.log(inertias(fit, box, sample_weight=s)))
    own = np.log(inertias(keys[0], X, sample_weight=s))
    np.testing.assert_allclose(found.gap, np.mean(logs, 0) - own, rtol=1e-9)  # (3)
    np.testing.assert_allclose(found.error, np.std(logs, 0) * np.sqrt(1 + 1 / 7), rtol=1e-9)
    assert found.chosen == 0  # all gaps are equal


def test_the_gap_finds_three_clouds_and_one():
    rng = np.random.default_rng(6)
    clouds = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])[rng.integers(3, size=90)]
    three = clouds + rng.normal(size=(90, 2))
    found = clusters.gap_statistic(jax.random.key(1), box_inertias, three, references=8)
    assert found.chosen == 2
    gap, error = np.asarray(found.gap), np.asarray(found.error)
    fits = gap[:-1] >= gap[1:] - error[1:]
    assert fits[2]  # (4)
    assert not fits[:2].any()
    one = clusters.gap_statistic(
        jax.random.key(2), box_inertias, rng.normal(size=(90, 2)), references=8
    )
    assert one.chosen == 0


def test_the_elbow_lies_farthest_below_the_chord():
    k, W = np.array([2, 3, 5, 8, 9]), np.array([10.0, 4.0, 2.0, 1.5, 1.0])
    found = clusters.elbow(k, W)
    a = np.array([(k - 2) / 7, (W - 1) / 9]).T  # the ends become (0, 1) and (1, 0)
    np.testing.assert_allclose(found.below, 1 - a.sum(1), atol=1e-14)  # (5)
    assert found.chosen == 3
    with pytest.raises(ValueError, match="at least three sizes, got 2"):
        clusters.elbow(k[:2], W[:2])


def test_the_rand_index_is_its_definition_and_scikit_learns(iris):
    rng = np.random.default_rng(7)
    _, label = iris
    for other in (rng.integers(4, size=150), (label + 1) % 3, label * (rng.random(150) < 0.7)):
        np.testing.assert_allclose(
            clusters.adjusted_rand(label, other, classes=4),
            adjusted_rand_score(label, other),
            atol=1e-12,
        )
    a, b = label[:40], rng.integers(3, size=40)
    same = total = 0.0
    for i in range(40):
        for j in range(i):
            total += 1
            same += (a[i] == a[j]) & (b[i] == b[j])
    P, Q = (sum((v[i] == v[j]) for i in range(40) for j in range(i)) for v in (a, b))
    expected = (same - P * Q / total) / ((P + Q) / 2 - P * Q / total)  # (6)
    np.testing.assert_allclose(clusters.adjusted_rand(a, b, classes=3), expected, atol=1e-12)


def test_the_rand_index_counts_weights_and_knows_its_edges(iris):
    rng = np.random.default_rng(8)
    a, b = rng.integers(3, size=30), rng.integers(4, size=30)
    counts = rng.integers(0, 4, 30)
    found = clusters.adjusted_rand(a, b, classes=4, sample_weight=counts.astype(float))
    peer = adjusted_rand_score(np.repeat(a, counts), np.repeat(b, counts))
    np.testing.assert_allclose(found, peer, atol=1e-12)
    for labels in (np.zeros(5, int), np.arange(5)):
        assert clusters.adjusted_rand(labels, labels, classes=5) == 1
    assert clusters.adjusted_rand(np.zeros(5, int), np.arange(5), classes=5) == 0
    assert np.isnan(clusters.adjusted_rand(np.array([0, 1, 9]), np.array([0, 1, 1]), classes=2))


def test_misuse_is_refused_and_what_counts_shows(iris):
    X, label = iris
    with pytest.raises(ValueError, match="classes must be at least 1"):
        clusters.silhouette(X, label, classes=0)
    with pytest.raises(ValueError, match="at least one row"):
        clusters.silhouette(X[:0], label[:0], classes=2)
    with pytest.raises(ValueError, match="references must be at least 2, got 1"):
        clusters.gap_statistic(jax.random.key(0), box_inertias, X, references=1)
    holes = np.where(np.arange(150)[:, None] == 3, np.nan, X)
    assert np.isnan(clusters.silhouette(holes, label, classes=3).values).all()
    wrong = np.where(np.arange(150) == 3, 7, label)
    assert np.isnan(clusters.silhouette(X, wrong, classes=3).mean)
    assert np.isnan(clusters.silhouette(X, label, classes=3, sample_weight=np.zeros(150)).mean)


def test_a_size_without_inertia_has_no_gap_and_is_not_chosen():
    X = np.repeat(np.array([[0.0, 0], [0, 1], [5, 5], [5, 6]]), 2, axis=0)

    def inertias(key, X, *, sample_weight):
        found = kmeans.sweep(key, X, sizes=(2, 3, 4, 5), seeds=2, sample_weight=sample_weight)
        return found.certificate.objective.min(axis=1)

    found = clusters.gap_statistic(jax.random.key(0), inertias, X, references=3)
    gap = np.asarray(found.gap)
    assert np.isnan(gap[2:]).all()
    assert np.isfinite(gap[found.chosen])


def test_equal_inertias_have_no_elbow():
    found = clusters.elbow(np.array([2, 3, 4]), np.ones(3))
    np.testing.assert_array_equal(found.below, 0)
    assert found.chosen == 2


def test_inertia_that_is_rounding_has_no_gap():
    X = np.array([[0.0], [1.0], [5.0]])

    def inertias(key, X, *, sample_weight):
        own = (X[0, 0] == 0) & (X[1, 0] == 1)
        return jnp.stack([jnp.asarray(9.0), jnp.where(own, 1e-20, 5.0)])

    found = clusters.gap_statistic(jax.random.key(0), inertias, X, references=2)
    assert np.isnan(found.gap[1])
    assert found.chosen == 0


@pytest.mark.parametrize("unit", [1e-25, 1e25])
def test_silhouettes_have_no_unit(iris, unit):
    X, label, *_ = iris
    single = X.astype(np.float32)
    right = clusters.silhouette(single, label, classes=3)
    found = clusters.silhouette(single * np.float32(unit), label, classes=3)
    np.testing.assert_allclose(found.values, right.values, atol=1e-4)
    far, s = np.array(single), np.ones(len(X), np.float32)
    far[4], s[4] = 3e38, 0
    kept = np.arange(len(X)) != 4
    alone = clusters.silhouette(single[kept], label[kept], classes=3)
    found = clusters.silhouette(far, label, classes=3, sample_weight=s)
    np.testing.assert_allclose(found.mean, alone.mean, rtol=1e-5)


def test_an_inertia_that_is_no_number_is_no_elbow():
    found = clusters.elbow(np.arange(1, 6), np.array([10.0, np.nan, 3.0, 2.5, 2.0]))
    assert np.isnan(found.below[1])
    assert found.chosen == 3
