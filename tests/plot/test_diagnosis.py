"""Diagnoses are scikit-learn's, statsmodels' and SciPy's, and their own definitions."""

import io
import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm, probplot
from sklearn.calibration import calibration_curve
from statsmodels.graphics.gofplots import ProbPlot
from statsmodels.stats.proportion import proportion_confint

from mlmath.plot import diagnosis


def sample(n=200):
    rng = np.random.default_rng(0)
    p = rng.beta(0.7, 1.2, n)
    return p, (rng.uniform(size=n) < p**1.3).astype(int)


def named(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def reliability(figure):
    """Points, both ends of their intervals, and counts."""
    above, below = figure.axes
    (drawn,) = above.containers
    points, _, (bars,) = drawn.lines
    intervals = np.array([segment[:, 1] for segment in bars.get_segments() if len(segment)])
    return points.get_xydata(), intervals, below.patches[0].get_data()


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
def test_calibration_is_that_of_scikit_learn(strategy):
    p, y = sample()
    edges = diagnosis.equal_widths(10) if strategy == "uniform" else None
    points, *_ = reliability(diagnosis.calibration(p, y, edges=edges))
    share, mean = calibration_curve(y, p, n_bins=10, strategy=strategy)
    np.testing.assert_allclose(points, np.stack([mean, share], axis=1))


def test_bins_are_their_definition_and_counted():
    p, y = sample()
    closing = p[np.abs(p - 0.4).argmin()]  # belongs to the bin that it closes
    edges = np.array([0, 0.1, closing, 0.8, 1])
    points, intervals, counts = reliability(diagnosis.calibration(p, y, edges=edges))
    np.testing.assert_array_equal(counts.edges, edges)
    for k, (a, b) in enumerate(itertools.pairwise(edges)):
        inside = (p > a) & (p <= b)
        n, share, z = sum(inside), y[inside].mean(), 1.96
        assert counts.values[k] == n
        np.testing.assert_allclose(points[k], [p[inside].mean(), share])
        root = np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        ends = [(share + z**2 / (2 * n) + s * z * root) / (1 + z**2 / n) for s in (-1, 1)]
        np.testing.assert_allclose(intervals[k], ends, atol=1e-12)
        wilson = proportion_confint(y[inside].sum(), n, method="wilson")
        np.testing.assert_allclose(intervals[k], wilson, rtol=1e-4, atol=1e-12)


def test_bins_of_equal_counts_hold_equal_counts():
    p, y = sample()
    *_, counts = reliability(diagnosis.calibration(p, y))
    assert counts.values.tolist() == [20] * 10
    edges = diagnosis.equal_counts(np.r_[np.full(150, 0.3), p[:50]], 4)
    assert edges[0] == 0
    assert edges[-1] == 1
    assert 0.3 in edges
    assert len(edges) < 5


def test_a_weight_is_a_repetition_and_0_an_absence():
    p, y = sample()
    weight = np.random.default_rng(1).integers(0, 3, len(y))
    repeated = reliability(diagnosis.calibration(p.repeat(weight), y.repeat(weight)))
    p = np.where((weight == 0) & (p > 0.5), np.nan, p)
    y = np.where(weight == 0, 7, y)
    figure = diagnosis.calibration(p, y, sample_weight=weight.astype(float))
    weighted = reliability(figure)
    np.testing.assert_allclose(weighted[0], repeated[0])
    np.testing.assert_allclose(weighted[1], repeated[1])
    np.testing.assert_allclose(weighted[2].values, repeated[2].values)
    assert len(named(figure)) == 2


def test_probabilities_that_are_missing_are_counted():
    p, y = sample()
    p[:3] = np.nan
    figure = diagnosis.calibration(p, y, positive="ill")
    assert "3 of 200 rows without a finite value" in named(figure)
    assert reliability(figure)[2].values.sum() == 197
    assert figure.axes[0].get_ylabel() == "observed share of ill"
    assert figure.axes[1].get_xlabel() == "predicted probability of ill"


def test_an_empty_bin_has_no_point():
    points, _, counts = reliability(
        diagnosis.calibration(np.array([0.1, 0.9]), np.array([0, 1]), edges=np.linspace(0, 1, 4))
    )
    assert counts.values.tolist() == [1, 0, 1]
    assert np.isnan(points).any(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize(("p", "y"), [([0.2, 1.2], [0, 1]), ([-0.1, 0.3], [0, 1]), ([0.5], [2])])
def test_what_is_no_probability_or_label_is_refused(p, y):
    with pytest.raises(ValueError, match="between 0 and 1"):
        diagnosis.calibration(np.array(p), np.array(y))


def regression(n=100):
    rng = np.random.default_rng(0)
    predicted = rng.normal(size=n)
    return predicted, predicted + rng.standard_t(4, n)


def quantile_plot(figure):
    axes = figure.axes[1]
    return axes.collections[0].get_offsets(), axes.lines[0].get_xydata(), axes.collections[1]


def test_residuals_are_observed_minus_predicted():
    predicted, y = regression()
    figure = diagnosis.residuals(predicted, y, unit="mass (g)")
    axes = figure.axes[0]
    points = axes.collections[0].get_offsets()
    np.testing.assert_allclose(points, np.stack([predicted, y - predicted], axis=1))
    assert axes.get_xlabel() == "predicted mass (g)"
    assert "observed − predicted" in axes.get_ylabel()


def test_the_mean_residual_of_each_tenth_has_its_interval():
    predicted, y = regression()
    (drawn,) = diagnosis.residuals(predicted, y).axes[0].containers
    points, _, (bars,) = drawn.lines
    order = np.argsort(predicted).reshape(10, 10)
    tenths = (y - predicted)[order]
    expected = np.stack([predicted[order].mean(axis=1), tenths.mean(axis=1)], axis=1)
    np.testing.assert_allclose(points.get_xydata(), expected)
    half = [np.ptp(segment[:, 1]) / 2 for segment in bars.get_segments()]
    np.testing.assert_allclose(half, 1.96 * tenths.std(axis=1, ddof=1) / np.sqrt(10))


def test_normal_quantiles_are_those_of_statsmodels_and_scipy():
    predicted, y = regression()
    points, *_ = quantile_plot(diagnosis.residuals(predicted, y))
    theirs = ProbPlot(y - predicted, a=0.5)
    np.testing.assert_allclose(points[:, 0], theirs.theoretical_quantiles, rtol=1e-9)
    np.testing.assert_allclose(points[:, 1], probplot(y - predicted)[0][1])


def test_normal_quantiles_line_and_band_are_their_definition():
    predicted, y = regression()
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y))
    figure = diagnosis.residuals(predicted, y, sample_weight=weight)
    points, line, band = quantile_plot(figure)
    r, N, before = y - predicted, weight.sum(), 0.0
    level, q = [], []
    for i in np.argsort(r):
        level.append((before + weight[i] / 2) / N)
        q.append(norm.ppf(level[-1]))
        before += weight[i]
    np.testing.assert_allclose(points, np.stack([q, np.sort(r)], axis=1))
    q1, q3 = np.interp([0.25, 0.75], level, np.sort(r))
    z1, z3 = norm.ppf([0.25, 0.75])
    sigma = (q3 - q1) / (z3 - z1)
    m = q1 - sigma * z1
    np.testing.assert_allclose(line, np.stack([q, m + sigma * np.array(q)], axis=1))
    outline = band.get_paths()[0].vertices
    for p, z in zip(level[::9], q[::9], strict=True):
        reach = 1.96 * sigma * np.sqrt(p * (1 - p) / N) / norm.pdf(z)
        ends = outline[np.isclose(outline[:, 0], z, rtol=0, atol=1e-12), 1]
        np.testing.assert_allclose([ends.min(), ends.max()], m + sigma * z + [-reach, reach])


def test_the_line_runs_through_the_quartiles():
    predicted, y = regression()
    _, line, _ = quantile_plot(diagnosis.residuals(predicted, y))
    at = np.interp(norm.ppf([0.25, 0.75]), *line.T)
    np.testing.assert_allclose(at, np.quantile(y - predicted, [0.25, 0.75], method="hazen"))


def test_the_band_holds_normal_residuals():
    rng, inside = np.random.default_rng(2), []
    for _ in range(10):
        points, line, band = quantile_plot(
            diagnosis.residuals(np.zeros(200), rng.normal(3, 2, 200))
        )
        outline = band.get_paths()[0].vertices
        for (z, r), center in zip(points, line[:, 1], strict=True):
            ends = outline[np.isclose(outline[:, 0], z, rtol=0, atol=1e-12), 1]
            np.testing.assert_allclose(ends.min() + ends.max(), 2 * center)
            inside.append(ends.min() < r < ends.max())
    assert 0.95 < np.mean(inside) < 1


def test_a_residual_of_weight_0_is_absent():
    predicted, y = regression()
    weight = np.r_[np.zeros(10), np.ones(90)]
    without = diagnosis.residuals(predicted[10:], y[10:])
    y[:5], y[5:10] = np.nan, 1e6
    figure = diagnosis.residuals(predicted, y, sample_weight=weight)
    for a, b in zip(figure.axes, without.axes, strict=True):
        offsets = (axes.collections[0].get_offsets() for axes in (a, b))
        np.testing.assert_allclose(*offsets)
    assert named(figure) == named(without)
    counted = diagnosis.residuals(predicted, y)
    assert "5 of 100 rows without a finite value" in named(counted)


def test_influence_is_a_stem_for_each_row_and_names_the_largest():
    effects = np.array([0.1, -3.0, np.nan, 2.0, 0.0, -0.5])
    names = [f"patient {i}" for i in "abcdef"]
    figure = diagnosis.influence(effects, names=names, shown=2, effect="change of l2 (kg)")
    (axes,) = figure.axes
    stems = axes.collections[0].get_segments()
    finite = [0, 1, 3, 4, 5]
    np.testing.assert_array_equal(stems, [[[i, 0], [i, effects[i]]] for i in finite])
    assert named(figure) == [
        "1  patient b: -3", "2  patient d: +2", "1 of 6 rows without a finite value",
    ]  # fmt: skip
    assert [(text.get_text(), text.xy) for text in axes.texts] == [("1", (1, -3)), ("2", (3, 2))]
    assert axes.get_ylabel() == "change of l2 (kg)"
    plain = diagnosis.influence(effects, shown=1)
    assert named(plain)[0] == "1  row 1: -3"


@pytest.mark.parametrize("sign", [1, -1])
def test_a_distance_has_no_sign_and_its_axis_begins_at_0(sign):
    (axes,) = (figure := diagnosis.influence(np.array([0.0, 2.0, sign * 3.0]), shown=1)).axes
    assert named(figure) == ["1  row 2: 3" if sign > 0 else "1  row 2: -3"]
    low, high = axes.get_ylim()
    assert (low == 0) == (sign > 0)
    assert low <= min(sign * 3.0, 0) < 2 < high


def test_numbers_of_jax_are_welcome():
    p, y = sample()
    figure = diagnosis.calibration(jnp.asarray(p, "float32"), jnp.asarray(y == 1))
    expected = reliability(diagnosis.calibration(p, y))[0]
    np.testing.assert_allclose(reliability(figure)[0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    "figure",
    [
        lambda: diagnosis.calibration(np.full(20, 0.3), np.zeros(20)),
        lambda: diagnosis.calibration(np.full(3, np.nan), np.zeros(3)),
        lambda: diagnosis.calibration(np.array([0.0, 1.0]), np.array([0, 1])),
        lambda: diagnosis.residuals(np.zeros(50), np.zeros(50)),
        lambda: diagnosis.residuals(np.zeros(1), np.ones(1)),
        lambda: diagnosis.residuals(np.zeros(2), np.full(2, np.nan)),
        lambda: diagnosis.residuals(
            np.zeros(3), np.arange(3.0), sample_weight=np.array([1.0, 1.0, 1e-30])
        ),
        lambda: diagnosis.influence(np.zeros(3)),
        lambda: diagnosis.influence(np.full(3, np.nan)),
    ],
)
def test_edges_are_drawn(figure):
    figure().savefig(io.BytesIO())
