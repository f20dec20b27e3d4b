"""Figures of a choice among candidates show every score, what was chosen, and what is missing."""

import io

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import sem
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import learning_curve as sklearn_learning_curve
from sklearn.model_selection import validation_curve as sklearn_validation_curve

from mlmath.plot import selection

VALUES = np.logspace(-2, 3, 8)
SCORES = np.random.default_rng(0).normal(size=(4, 8)) * 0.1 - (np.log(VALUES) - 3) ** 2


def named(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def points(figure, label):
    """Points of the lines whose label contains ``label``."""
    return [line.get_xydata() for line in figure.axes[0].lines if label in str(line.get_label())]


def thin(figure):
    drawn = figure.axes[0].lines
    first = next(i for i, line in enumerate(drawn) if "each fold" in line.get_label())
    rest = [line for line in drawn[first + 1 :] if line.get_label().startswith("_")]
    return np.array([line.get_ydata() for line in [drawn[first], *rest]][: len(SCORES)])


def test_the_mean_and_each_fold_are_drawn_in_the_order_of_the_values():
    shuffled = np.random.default_rng(1).permutation(8)
    figure = selection.validation_curve(VALUES[shuffled], SCORES[:, shuffled])
    (mean,) = points(figure, "held-out rows, mean of 4 folds")
    np.testing.assert_allclose(mean, np.stack([VALUES, SCORES.mean(axis=0)], axis=1))
    np.testing.assert_array_equal(thin(figure), SCORES)
    outline = figure.axes[0].collections[0].get_paths()[0].vertices
    for v, average, error in zip(VALUES, SCORES.mean(axis=0), sem(SCORES), strict=True):
        ends = outline[outline[:, 0] == v, 1]
        np.testing.assert_allclose([ends.min(), ends.max()], [average - error, average + error])


def test_curves_are_those_of_scikit_learn():
    X, y = load_diabetes(return_X_y=True)
    values = np.logspace(-3, 2, 6)
    training, held = sklearn_validation_curve(
        Ridge(), X, y, param_name="alpha", param_range=values, cv=3
    )
    figure = selection.validation_curve(values, held.T, training=training.T, score="R²")
    (drawn,) = points(figure, "held-out rows, mean of 3 folds")
    np.testing.assert_allclose(drawn[:, 1], held.mean(axis=1))
    np.testing.assert_allclose(points(figure, "training rows")[0][:, 1], training.mean(axis=1))
    assert figure.axes[0].get_xscale() == "log"
    sizes, training, held = sklearn_learning_curve(Ridge(), X, y, cv=3, train_sizes=[40, 80, 160])
    figure = selection.learning_curve(sizes, held.T, training=training.T, score="R²")
    (drawn,) = points(figure, "held-out rows, mean of 3 folds")
    np.testing.assert_allclose(drawn, np.stack([sizes, held.mean(axis=1)], axis=1))
    np.testing.assert_allclose(points(figure, "training rows")[0][:, 1], training.mean(axis=1))
    assert figure.axes[0].get_xlabel() == "training examples"


@pytest.mark.parametrize("sign", [1, -1])
def test_the_choices_and_the_threshold_are_marked(sign):
    mean, error = SCORES.mean(axis=0), sem(SCORES)
    best = int(mean.argmax())
    simplest = int(np.flatnonzero(mean >= mean[best] - error[best]).max())
    figure = selection.validation_curve(
        VALUES, sign * SCORES, best=best, simplest=simplest, parameter="penalty l2",
        score="log loss (nats), lower is better",
    )  # fmt: skip
    np.testing.assert_allclose(points(figure, "best:"), [[[VALUES[best], sign * mean[best]]]])
    choice = points(figure, "one-standard-error choice:")
    np.testing.assert_allclose(choice, [[[VALUES[simplest], sign * mean[simplest]]]])
    (threshold,) = points(figure, "one standard error from the best")
    np.testing.assert_allclose(threshold[:, 1], sign * (mean[best] - error[best]))
    assert f"best: {sign * mean[best]:.4g} at {VALUES[best]:.4g}" in named(figure)
    axes = figure.axes[0]
    assert axes.get_xlabel() == "penalty l2"
    assert axes.get_ylabel() == "log loss (nats), lower is better"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_missing_score_is_a_gap_and_is_counted(bad):
    scores = SCORES.copy()
    scores[1, 2] = scores[0, 7] = scores[2, 7] = bad
    figure = selection.validation_curve(VALUES, scores, best=7, simplest=3)
    (mean,) = points(figure, "mean of 4 folds")
    assert np.flatnonzero(np.isnan(mean[:, 1])).tolist() == [2, 7]
    assert "2 of 8 candidates without a finite score" in named(figure)
    (crosses,) = points(figure, "without a finite score")
    np.testing.assert_array_equal(crosses[:, 0], VALUES[[2, 7]])
    assert np.isnan(thin(figure)).sum() == 3
    assert not points(figure, "best:")
    assert points(figure, "one-standard-error choice:")


def test_one_fold_has_neither_band_nor_threshold():
    figure = selection.validation_curve(VALUES, SCORES[:1], best=5, simplest=5)
    assert not figure.axes[0].collections
    assert [text.split(":")[0] for text in named(figure)] == [
        "held-out rows", "best", "one-standard-error choice",
    ]  # fmt: skip


def test_very_many_folds_are_not_drawn_one_by_one():
    figure = selection.validation_curve(VALUES, np.repeat(SCORES, 10, axis=0))
    assert not points(figure, "each fold")
    assert "± one standard error of the mean" in named(figure)


@pytest.mark.parametrize("constant", [0.5, SCORES[:, :1]])
def test_constant_scores_have_no_side_for_a_threshold(constant):
    figure = selection.validation_curve(VALUES, 0 * SCORES + constant, best=0, simplest=7)
    assert not points(figure, "one standard error from the best")
    assert points(figure, "best:")


def test_hopeless_candidates_do_not_stretch_the_frame():
    values, scores = np.logspace(-3, 3, 30), np.tile(np.linspace(0.5, 0.9, 30), (3, 1))
    training = scores + 0.05
    scores[:, :2] = [[1e4, 1e3]]
    figure = selection.validation_curve(values, scores, training=training, best=2)
    low, high = figure.axes[0].get_ylim()
    assert 0.4 < low < scores.min()
    assert training.max() < high < 1.1
    assert "2 of 30 candidates beyond the frame" in named(figure)
    low, high = selection.validation_curve(values[:9], scores[:, :9]).axes[0].get_ylim()
    assert high > 1e4


@pytest.mark.parametrize(
    ("values", "scale"),
    [(VALUES, "log"), (np.arange(8), "linear"), (np.r_[0, VALUES[1:]], "symlog")],
)
def test_the_axis_follows_the_values(values, scale):
    assert selection.validation_curve(values, SCORES).axes[0].get_xscale() == scale


def test_values_that_repeat_are_refused():
    with pytest.raises(ValueError, match="two hyperparameters are for score_map"):
        selection.validation_curve(np.ones(8), SCORES)
    with pytest.raises(ValueError, match="sizes must all be different"):
        selection.learning_curve(np.ones(8, int), SCORES)


def grid():
    """The candidates of a product in any order, with their scores."""
    a, b = (m.ravel() for m in np.meshgrid([0.1, 1.0, 10.0], [1, 2, 3, 4], indexing="ij"))
    order = np.random.default_rng(2).permutation(12)
    return a[order], b[order], np.random.default_rng(3).normal(size=(3, 12))


def test_a_product_is_a_map_of_means():
    a, b, scores = grid()
    figure = selection.score_map(
        a, b, scores, best=4, simplest=7, parameters=("l2", "degree"), score="R²"
    )
    axes, bar = figure.axes
    cells = axes.images[0].get_array()
    across = [text.get_text() for text in axes.get_xticklabels()]
    up = [text.get_text() for text in axes.get_yticklabels()]
    assert (across, up) == (["0.1", "1", "10"], ["1", "2", "3", "4"])
    for u, v, mean in zip(a, b, scores.mean(axis=0), strict=True):
        np.testing.assert_allclose(cells[up.index(f"{v:g}"), across.index(f"{u:g}")], mean)
    for chosen, label in ((4, "best:"), (7, "one-standard-error choice:")):
        ((place,),) = points(figure, label)
        assert across[int(place[0])] == f"{a[chosen]:g}"
        assert up[int(place[1])] == f"{b[chosen]:g}"
    assert f"best: {scores[:, 4].mean():.4g} at ({a[4]:g}, {b[4]:g})" in named(figure)
    assert bar.get_ylabel() == "R², mean of 3 folds"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("l2", "degree")


def test_a_missing_cell_is_crossed_out_and_counted():
    a, b, scores = grid()
    scores[1, 3] = np.nan
    figure = selection.score_map(a, b, scores)
    assert np.ma.getmaskarray(figure.axes[0].images[0].get_array()).sum() == 1
    assert named(figure) == ["1 of 12 candidates without a finite score"]
    figure = selection.score_map(a, b, scores * np.nan)
    assert len(figure.axes) == 1, "no colour bar without a colour"


def test_a_random_design_is_points():
    rng = np.random.default_rng(4)
    a, b, scores = 10 ** rng.uniform(-3, 3, 30), rng.uniform(0, 1, 30), rng.normal(size=(3, 30))
    axes = selection.score_map(a, b, scores, best=3).axes[0]
    drawn = axes.collections[0]
    np.testing.assert_allclose(drawn.get_offsets(), np.stack([a, b], axis=1))
    np.testing.assert_allclose(drawn.get_array(), scores.mean(axis=0))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")


def test_a_part_of_a_product_is_points():
    a, b, scores = grid()
    assert not selection.score_map(a[1:], b[1:], scores[:, 1:]).axes[0].images


@pytest.mark.parametrize(("far", "extend"), [(1e5, "max"), (-1e5, "min")])
def test_hopeless_candidates_do_not_stretch_the_colours(far, extend):
    a, b = (m.ravel() for m in np.meshgrid(np.arange(5), np.arange(6)))
    scores = np.random.default_rng(5).uniform(size=(2, 30))
    scores[:, 8] = far
    figure = selection.score_map(a, b, scores)
    image = figure.axes[0].images[0]
    assert -4 < image.norm.vmin < image.norm.vmax < 5
    assert image.colorbar.extend == extend


def test_numbers_of_jax_are_welcome():
    found = selection.validation_curve(
        jnp.asarray(VALUES),
        jnp.asarray(SCORES),
        best=jnp.argmax(jnp.ones(8)),
        simplest=jnp.array(2),
    )
    plain = selection.validation_curve(VALUES, SCORES, best=0, simplest=2)
    assert named(found) == named(plain)


@pytest.mark.parametrize(
    "figure",
    [
        lambda: selection.validation_curve(VALUES[:1], SCORES[:, :1], best=0, simplest=0),
        lambda: selection.validation_curve(VALUES, SCORES * np.nan, best=0, simplest=0),
        lambda: selection.validation_curve(np.r_[0, VALUES[1:]], SCORES, best=0),
        lambda: selection.learning_curve(np.array([10]), SCORES[:1, :1]),
        lambda: selection.score_map(VALUES[:1], VALUES[:1], SCORES[:, :1], best=0),
        lambda: selection.score_map(VALUES, VALUES, SCORES * np.nan, best=0),
    ],
)
def test_edges_are_drawn(figure):
    figure().savefig(io.BytesIO())
