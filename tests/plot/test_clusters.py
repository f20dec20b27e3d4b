"""Figures of clusters show where rows lie, how well they fit in, and how clusters came about."""

import io

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.metrics import pairwise_distances_argmin, silhouette_samples, silhouette_score

from mlmath.plot import clusters

RNG = np.random.default_rng(0)
CENTERS = np.array([[0.0, 0], [6, 0], [0, 8]])
LABEL = np.arange(60) % 3
POINTS = CENTERS[LABEL] + RNG.normal(size=(60, 2))
COVARIANCES = np.stack([np.cov(POINTS[g == LABEL].T) for g in range(3)])


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def groups_of(axes):
    return [np.asarray(c.get_offsets()) for c in axes.collections if len(c.get_offsets())]


def numbers(axes):
    return {t.get_text(): t.get_position() for t in axes.texts}


def lloyd(x, c, steps):
    """Lloyd's algorithm, transcribed."""
    ways = [c]
    for _ in range(steps):
        label = np.array([min(range(len(c)), key=lambda j: sum((r - c[j]) ** 2)) for r in x])
        c = np.stack([x[label == j].mean(axis=0) for j in range(len(c))])
        ways.append(c)
    return np.stack(ways)


WAYS = lloyd(POINTS, POINTS[[0, 3, 1]], 8)


@pytest.mark.parametrize(("r", "share"), [(1, 0.3935), (2, 0.8647)])
def test_an_ellipse_is_so_many_deviations_from_the_mean(r, share):
    mean, covariance = CENTERS[2], COVARIANCES[2]
    way = clusters.ellipse(mean, jnp.asarray(covariance), r)
    apart = way - mean
    square = np.einsum("ti,ij,tj->t", apart, np.linalg.inv(covariance), apart)
    np.testing.assert_allclose(square, r**2)
    np.testing.assert_allclose(way[0], way[-1])
    z = multivariate_normal(mean, covariance).rvs(20000, random_state=0) - mean
    within = np.einsum("ti,ij,tj->t", z, np.linalg.inv(covariance), z) <= r**2
    assert within.mean() == pytest.approx(share, abs=0.01)


def test_an_ellipse_of_a_singular_covariance_is_a_segment():
    way = clusters.ellipse(np.zeros(2), np.array([[4.0, 0], [0, -1e-9]]), 1.0)
    np.testing.assert_allclose(way[:, 1], 0)
    assert way[:, 0].max() == pytest.approx(2, rel=1e-3)


def test_each_cluster_is_drawn_with_its_mean_and_its_ellipses():
    figure = clusters.partition(
        POINTS, LABEL, means=CENTERS, covariances=COVARIANCES, names=("a / m", "b / s")
    )
    (axes,) = figure.axes
    for g, found in enumerate(groups_of(axes)):
        np.testing.assert_array_equal(found, POINTS[g == LABEL])
    lines = [line.get_xydata() for line in axes.lines if len(line.get_xydata())]
    for mean, covariance in zip(CENTERS, COVARIANCES, strict=True):
        for r in (1, 2):
            ellipse = clusters.ellipse(mean, covariance, r)
            assert any(ellipse.shape == way.shape and np.allclose(ellipse, way) for way in lines)
    np.testing.assert_array_equal(lines[-1], CENTERS)
    assert legend(figure) == [
        "cluster 0 (20)", "cluster 1 (20)", "cluster 2 (20)", "1 standard deviation",
        "2 standard deviations", "mean",
    ]  # fmt: skip
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a / m", "b / s")
    assert legend(clusters.partition(POINTS, LABEL, clusters=["x", "y", "z"]))[0] == "x (20)"


def test_many_clusters_are_numbered_where_they_are():
    label = np.arange(60) % 12
    means = np.stack([POINTS[label == g].mean(axis=0) for g in range(12)])
    for options in ({}, {"means": means}):
        found = numbers(clusters.partition(POINTS, label, **options).axes[0])
        assert set(found) == {str(g) for g in range(12)}
        for g in range(12):
            np.testing.assert_allclose(found[str(g)], means[g])
    assert not numbers(clusters.partition(POINTS, LABEL).axes[0])


def test_rows_of_weight_0_are_not_drawn_whatever_they_hold():
    points, label, weight = POINTS.copy(), LABEL.astype(float), np.ones(60)
    points[5], label[5], weight[5] = np.nan, np.nan, 0
    points[6], weight[6] = 1e9, 0
    figure = clusters.partition(points, label, sample_weight=weight)
    assert sum(map(len, groups_of(figure.axes[0]))) == 58
    assert figure.axes[0].get_xlim()[1] < 20
    s = np.where(weight == 0, np.nan, silhouette_samples(POINTS, LABEL))
    assert not any(
        "finite" in line for line in legend(clusters.silhouettes(s, label, sample_weight=weight))
    )
    panels = clusters.steps(points, WAYS, sample_weight=weight).axes
    assert sum(map(len, groups_of(panels[0]))) == 58


def test_silhouettes_are_bars_sorted_within_each_cluster():
    s = silhouette_samples(POINTS, LABEL)
    figure = clusters.silhouettes(jnp.asarray(s), LABEL)
    (axes,) = figure.axes
    for g, bars in enumerate(axes.patches):
        values, edges, _ = bars.get_data()
        np.testing.assert_allclose(values, sorted(s[g == LABEL], reverse=True), rtol=1e-6)
        np.testing.assert_allclose(np.diff(edges), 1)
    assert legend(figure) == [f"mean of all rows: {silhouette_score(POINTS, LABEL):.3g}"]
    told = [t.get_text() for t in axes.get_yticklabels()]
    assert told == [f"{g}: {s[g == LABEL].mean():.2f}" for g in range(3)]


def test_weight_2_is_a_bar_twice_as_high():
    s, weight = silhouette_samples(POINTS, LABEL), RNG.integers(0, 3, 60)
    once = clusters.silhouettes(s, LABEL, sample_weight=weight * 1.0)
    rows = np.repeat(np.arange(60), weight)
    twice = clusters.silhouettes(s[rows], LABEL[rows])
    assert legend(once) == legend(twice)
    for one, other in zip(once.axes[0].patches, twice.axes[0].patches, strict=True):
        assert one.get_data().edges[-1] == pytest.approx(other.get_data().edges[-1])
        assert one.get_data().edges[0] == pytest.approx(other.get_data().edges[0])


def test_a_silhouette_that_is_not_finite_is_counted():
    s = silhouette_samples(POINTS, LABEL)
    s[3] = np.nan
    assert legend(clusters.silhouettes(s, LABEL))[1] == "1 of 60 rows without a finite value"


def test_a_criterion_is_drawn_in_the_order_of_k_and_the_choice_marked():
    bic, aic = np.array([30.0, 10, 20]), np.array([25.0, 8, 7])
    figure = clusters.criterion([3, 2, 1], {"BIC": bic, "AIC": jnp.asarray(aic)}, chosen=2)
    (axes,) = figure.axes
    lines = [line.get_xydata() for line in axes.lines if len(line.get_xydata())]
    np.testing.assert_array_equal(lines[0], np.c_[[1, 2, 3], bic[::-1]])
    np.testing.assert_array_equal(lines[1], np.c_[[1, 2, 3], aic[::-1]])
    np.testing.assert_array_equal(lines[2], [[2, 10], [2, 8]])
    assert legend(figure) == ["BIC", "AIC", "chosen: k = 2, BIC 10, AIC 8"]


def test_a_criterion_with_errors_and_gaps_says_so():
    gap, error = np.array([0.1, np.nan, 0.3]), np.array([0.01, 0.02, 0.03])
    figure = clusters.criterion(np.array([4, 2, 3]), {"gap": gap}, errors={"gap": error})
    assert legend(figure) == ["gap, ± one standard error, 1 of 3 without a finite value"]
    (bars,) = [c for c in figure.axes[0].collections if hasattr(c, "get_segments")]
    heights = {seg[0, 0]: np.ptp(seg[:, 1]) for seg in bars.get_segments() if len(seg)}
    assert heights[4] == pytest.approx(0.02)
    assert heights[3] == pytest.approx(0.06)
    marks = [line.get_xdata() for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert [list(x) for x in marks] == [[2]]


def test_each_panel_shows_a_step_of_lloyd():
    figure = clusters.steps(POINTS, jnp.asarray(WAYS), shown=4)
    panels = [axes for axes in figure.axes if axes.get_title()]
    for axes, t in zip(panels, (0, 1, 2, 8), strict=True):
        square = ((POINTS[:, None] - WAYS[t]) ** 2).sum(axis=2)
        nearest = pairwise_distances_argmin(POINTS, WAYS[t])
        found = groups_of(axes)
        assert len(found) == 3
        for g, points in enumerate(found):
            np.testing.assert_array_equal(points, POINTS[nearest == g])
        inertia = square.min(axis=1).sum()
        assert axes.get_title() == f"after {t} step{'s' * (t != 1)}: inertia {inertia:.4g}"
        np.testing.assert_allclose(axes.lines[-1].get_xydata(), WAYS[t], rtol=1e-6)
        paths = [line.get_xydata() for line in axes.lines if line.get_color() == "0.1"]
        np.testing.assert_allclose(paths, WAYS[: t + 1].transpose(1, 0, 2), rtol=1e-6)


def test_the_inertia_counts_weights():
    weight = RNG.uniform(size=60)
    square = ((POINTS[:, None] - WAYS[0]) ** 2).sum(axis=2).min(axis=1)
    axes = clusters.steps(POINTS, WAYS, sample_weight=weight).axes[0]
    assert axes.get_title() == f"after 0 steps: inertia {weight @ square:.4g}"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: clusters.partition(POINTS[:, :1], LABEL), r"two coordinates .* \(60, 1\)"),
        (lambda: clusters.partition(POINTS[:, :0], LABEL), r"two coordinates .* \(60, 0\)"),
        (lambda: clusters.steps(POINTS[:, :1], WAYS), r"two coordinates .* \(60, 1\)"),
        (lambda: clusters.steps(POINTS, WAYS[:0]), "one step at least"),
        (lambda: clusters.partition(POINTS, LABEL, covariances=COVARIANCES), "come with means"),
        (
            lambda: clusters.partition(
                POINTS, LABEL, means=CENTERS, covariances=COVARIANCES - 3 * np.eye(2)
            ),
            "no eigenvalue below 0",
        ),
        (lambda: clusters.partition(POINTS, LABEL, means=CENTERS[:2]), "from 0 to 1"),
        (lambda: clusters.partition(POINTS, LABEL - 1), "from 0 to 1"),
        (lambda: clusters.criterion([2, 2], {"BIC": np.ones(2)}), "all of them different"),
        (lambda: clusters.criterion([2, 3], {"BIC": np.ones(2)}, chosen=4), "one of k, got 4"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.parametrize(
    "figure",
    [
        lambda: clusters.partition(POINTS[:0], LABEL[:0]),
        lambda: clusters.partition(POINTS * np.nan, LABEL, means=CENTERS),
        lambda: clusters.partition(POINTS[:1], LABEL[:1], means=CENTERS, covariances=COVARIANCES),
        lambda: clusters.partition(
            POINTS,
            LABEL,
            means=CENTERS,
            covariances=COVARIANCES * np.array([1, np.nan, 0])[:, None, None],
        ),
        lambda: clusters.partition(np.tile(POINTS, (200, 1)), np.arange(12000) % 60),
        lambda: clusters.silhouettes(POINTS[:0, 0], LABEL[:0]),
        lambda: clusters.silhouettes(-np.ones(60), LABEL * 20),
        lambda: clusters.criterion([5], {"BIC": np.array([np.inf])}, chosen=5),
        lambda: clusters.steps(POINTS, WAYS[:1]),
        lambda: clusters.steps(POINTS[:0], WAYS),
        lambda: clusters.steps(POINTS, np.tile(WAYS, (1, 4, 1)), shown=2),
    ],
)
def test_edges_are_drawn(figure):
    figure().savefig(io.BytesIO())
