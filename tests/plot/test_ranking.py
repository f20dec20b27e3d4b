"""Figures of a ranking show scikit-learn's curves and averages of them with the right area."""

import io

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import sem
from sklearn import metrics
from sklearn.model_selection import StratifiedKFold

from mlmath.plot import classification, ranking

ROC, PR = ranking.receiver_operating_characteristic, ranking.precision_recall
both = pytest.mark.parametrize("draw", [ROC, PR])


def sample(*, decimals=1, n=90, f=3):
    """Scores with ties, labels and folds; what a fold did not hold out is NaN."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    scores = rng.normal(0.7 * y, 1, (f, n)).round(decimals)
    test = np.zeros((f, n), bool)
    for k, (_, held) in enumerate(StratifiedKFold(f).split(scores.T, y)):
        test[k, held] = True
    scores[~test] = np.nan
    return scores, y, test


def lines(figure, label):
    """Lines with this label and the unnamed ones after it."""
    drawn = figure.axes[0].lines
    first = next(i for i, line in enumerate(drawn) if label in line.get_label())
    rest = [line for line in drawn[first + 1 :] if line.get_label().startswith("_")]
    return [drawn[first].get_xydata(), *(line.get_xydata() for line in rest)]


def named(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def distinct(points):
    return np.unique(np.round(points, 12), axis=0)


def test_rates_are_their_definition():
    scores, y, test = sample()
    drawn = lines(ROC(scores, y, test), "each fold")
    assert len(drawn) == 3
    for score, held, curve in zip(scores, test, drawn, strict=True):
        points = [(0, 0)]
        for t in np.unique(score[held]):
            taken = held & (score >= t)
            true = sum(taken & (y == 1)) / sum(held & (y == 1))
            points.append((sum(taken & (y == 0)) / sum(held & (y == 0)), true))
        np.testing.assert_allclose(distinct(curve), distinct(np.array(points)))


def test_precision_is_its_definition_and_held_back():
    scores, y, test = sample()
    drawn = lines(PR(scores, y, test), "each fold")
    for score, held, curve in zip(scores, test, drawn, strict=True):
        best = {}
        for t in np.unique(score[held])[::-1]:
            taken = held & (score >= t)
            recall = sum(taken & (y == 1)) / sum(held & (y == 1))
            best.setdefault(recall, sum(taken & (y == 1)) / sum(taken))
        best.pop(0.0, None)
        np.testing.assert_allclose(curve[1:], np.array(sorted(best.items())))
        np.testing.assert_allclose(curve[0], [0, curve[1, 1]])
    figure = PR(scores, y, test)
    assert {line.get_drawstyle() for line in figure.axes[0].lines[:4]} == {"steps-pre"}


def test_each_fold_is_the_curve_of_scikit_learn():
    scores, y, test = sample()
    drawn = zip(
        lines(ROC(scores, y, test), "each"), lines(PR(scores, y, test), "each"), strict=True
    )
    for score, held, (roc, pr) in zip(scores, test, drawn, strict=True):
        false, true, _ = metrics.roc_curve(y[held], score[held], drop_intermediate=False)
        np.testing.assert_allclose(roc, np.stack([false, true], axis=1))
        precision, recall, _ = metrics.precision_recall_curve(y[held], score[held])
        points = {tuple(p) for p in np.round(np.stack([recall, precision], axis=1), 12)}
        assert {tuple(p) for p in np.round(pr[1:], 12)} <= points


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_the_area_under_the_mean_is_the_mean_of_the_areas_of_scikit_learn(decimals):
    scores, y, test = sample(decimals=decimals)
    pairs = [(y[held], score[held]) for score, held in zip(scores, test, strict=True)]
    areas = [metrics.roc_auc_score(*pair) for pair in pairs]
    figure = ROC(scores, y, test)
    (mean,) = lines(figure, "mean of 3 folds")[:1]
    np.testing.assert_allclose(np.trapezoid(mean[:, 1], mean[:, 0]), np.mean(areas))
    assert named(figure)[0] == f"mean of 3 folds, area {np.mean(areas):.4f} ± {sem(areas):.4f}"
    areas = [metrics.average_precision_score(*pair) for pair in pairs]
    figure = PR(scores, y, test)
    (mean,) = lines(figure, "mean of 3 folds")[:1]
    np.testing.assert_allclose(np.diff(mean[:, 0]) @ mean[1:, 1], np.mean(areas))
    text = f"average precision {np.mean(areas):.4f} ± {sem(areas):.4f}"
    assert named(figure)[0] == f"mean of 3 folds, {text}"


def test_the_mean_is_the_mean_at_equal_false_positive_rate():
    scores, y, test = sample(decimals=9)
    figure = ROC(scores, y, test)
    mean, *_ = lines(figure, "mean of")
    folds = lines(figure, "each fold")
    x = np.linspace(0.011, 0.987, 50)  # no jump of a curve is there
    at = [np.interp(x, *curve.T) for curve in folds]
    np.testing.assert_allclose(np.interp(x, *mean.T), np.mean(at, axis=0))


def test_the_band_is_the_standard_error_over_folds():
    scores, y, test = sample()
    figure = PR(scores, y, test)
    mean, *_ = lines(figure, "mean of")
    folds = lines(figure, "each fold")
    outline = figure.axes[0].collections[0].get_paths()[0].vertices
    for recall, average in mean[1:]:
        at = [curve[1:][curve[1:, 0] >= recall - 1e-12][0, 1] for curve in folds]
        for end in (average - sem(at), average + sem(at)):
            assert np.abs(outline - [recall, end]).sum(axis=1).min() < 1e-9


@both
def test_a_weight_is_a_repetition_and_0_an_absence(draw):
    scores, y, test = sample()
    weight = np.random.default_rng(1).integers(0, 3, len(y))
    repeated = draw(*(a.repeat(weight, axis=-1) for a in (scores, y, test)))
    scores[:, weight == 0] = np.nan
    y = np.where(weight == 0, 7, y)
    weighted = draw(scores, y, test, sample_weight=weight.astype(float))
    assert named(weighted) == named(repeated)
    for a, b in zip(weighted.axes[0].lines, repeated.axes[0].lines, strict=True):
        np.testing.assert_allclose(a.get_xydata(), b.get_xydata())


@both
def test_a_fold_without_a_curve_is_left_out_and_counted(draw):
    scores, y, test = sample()
    whole = draw(scores[1:], y, test[1:])
    scores[0, np.flatnonzero(test[0])[0]] = np.nan
    part = draw(scores, y, test)
    assert "1 of 3 folds left out: a class or a score is missing" in named(part)
    for a, b in zip(part.axes[0].lines, whole.axes[0].lines, strict=False):
        np.testing.assert_array_equal(a.get_xydata(), b.get_xydata())


@pytest.mark.parametrize(("label", "missing"), [(0, {ROC: 1, PR: 1}), (1, {ROC: 1, PR: 0})])
@both
def test_a_fold_of_one_class_has_no_rates(draw, label, missing):
    scores, y, test = sample()
    test[0] &= y == label
    left = [text for text in named(draw(scores, y, test)) if "left out" in text]
    assert len(left) == missing[draw]


@both
def test_no_fold_at_all_is_an_empty_frame(draw):
    figure = draw(np.zeros((2, 3)), np.ones(3, int), np.zeros((2, 3), bool))
    assert "2 of 2 folds left out: a class or a score is missing" in named(figure)
    figure.savefig(io.BytesIO())


@both
def test_one_fold_has_no_band(draw):
    scores, y, test = sample()
    figure = draw(scores[:1], y, test[:1])
    assert not figure.axes[0].collections
    assert len(named(figure)) == 2
    assert "±" not in "".join(named(figure))


def test_the_curve_of_a_model_of_two_classes_is_that_of_one_fold():
    scores, y, test = sample()
    held = test[0]
    one = classification.receiver_operating_characteristic(scores[0, held], y[held])
    np.testing.assert_array_equal(
        one.axes[0].lines[0].get_xydata(),
        ROC(scores[:1], y, test[:1]).axes[0].lines[0].get_xydata(),
    )


def test_chance_is_the_diagonal_and_the_share_of_positives():
    scores, y, test = sample()
    np.testing.assert_array_equal(lines(ROC(scores, y, test), "chance")[0], [[0, 0], [1, 1]])
    share = np.mean([y[held].mean() for held in test])
    np.testing.assert_allclose(lines(PR(scores, y, test), "chance")[0][:, 1], share)


@both
def test_jax_and_boolean_arrays_are_welcome(draw):
    scores, y, test = sample()
    drawn = draw(jnp.asarray(scores), jnp.asarray(y == 1), jnp.asarray(test))
    assert named(drawn) == named(draw(scores, y, test))


@both
def test_other_labels_are_refused(draw):
    scores, y, test = sample()
    with pytest.raises(ValueError, match="y must hold the labels 0 and 1"):
        draw(scores, 2 * y - 1, test)


@both
def test_axes_are_named(draw):
    axes = draw(*sample()).axes[0]
    expected = {ROC: ("false positive rate", "true positive rate"), PR: ("recall", "precision")}
    assert (axes.get_xlabel(), axes.get_ylabel()) == expected[draw]
