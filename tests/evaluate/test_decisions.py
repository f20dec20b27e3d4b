"""Metrics of decisions against their definitions, scikit-learn, and at their edges."""

import functools
import warnings

import jax
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from mlmath.evaluate import decisions

N = 12
weights = st.lists(st.sampled_from([0.0, 1.0, 2.0, 0.3]), min_size=N, max_size=N).map(np.array)
binary = st.lists(st.integers(0, 1), min_size=N, max_size=N).map(np.array)
many = st.lists(st.integers(0, 3), min_size=N, max_size=N).map(np.array)
examined = settings(deadline=None, max_examples=60)
balanced_accuracy = functools.partial(decisions.balanced_accuracy, classes=4)
confusion_matrix = functools.partial(decisions.confusion_matrix, classes=4)


def silent(metric, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return metric(*args, **kwargs)


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


def matrix(predicted, y, s, classes):
    """C, eq. (2), in loops."""
    C = np.zeros((classes, classes))
    for guess, truth, weight in zip(predicted, y, s, strict=True):
        C[truth, guess] += weight
    return C


@examined
@given(many, many, weights)
def test_many_classes_are_their_definitions(predicted, y, s):
    C = matrix(predicted, y, s, 4)
    close(confusion_matrix(predicted, y, sample_weight=s), C)
    rows = C.sum(axis=1)
    recalls = [C[j, j] / rows[j] for j in range(4) if rows[j] != 0]
    expected = np.mean(recalls) if recalls else np.nan
    close(balanced_accuracy(predicted, y, sample_weight=s), expected)
    share = np.trace(C) / C.sum() if C.sum() else np.nan
    close(decisions.accuracy(predicted, y, sample_weight=s), share)


@examined
@given(binary, binary, weights, st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_two_classes_are_their_definitions(predicted, y, s, beta):
    (_, extra), (missed, right) = matrix(predicted, y, s, 2)
    with np.errstate(invalid="ignore"):
        p, r = right / (right + extra), right / (right + missed)
        F = (1 + beta**2) * right / ((1 + beta**2) * right + beta**2 * missed + extra)
    close(decisions.precision(predicted, y, sample_weight=s), p)
    close(decisions.recall(predicted, y, sample_weight=s), r)
    close(decisions.f_score(predicted, y, beta=beta, sample_weight=s), F)
    if right > 0:  # then the harmonic mean of p and r exists
        close(F, (1 + beta**2) * p * r / (beta**2 * p + r))


@examined
@given(many, many, weights)
def test_many_classes_equal_scikit_learn(predicted, y, s):
    here = s > 0  # scikit-learn's classes are those of all rows
    if not here.any():
        return
    theirs = sklearn.metrics.confusion_matrix(y, predicted, labels=range(4), sample_weight=s)
    close(confusion_matrix(predicted, y, sample_weight=s), theirs)
    predicted, y, s = predicted[here], y[here], s[here]
    args, kwargs = (y, predicted), {"sample_weight": s}
    padded = [np.r_[a, np.zeros(N - len(a), a.dtype)] for a in (predicted, y, s)]
    ours = {"sample_weight": padded.pop()}
    theirs = silent(sklearn.metrics.balanced_accuracy_score, *args, **kwargs)
    close(balanced_accuracy(*padded, **ours), theirs)
    theirs = sklearn.metrics.accuracy_score(*args, **kwargs)
    close(decisions.accuracy(*padded, **ours), theirs)


@examined
@given(binary, binary, weights, st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_two_classes_equal_scikit_learn_where_it_does_not_warn(predicted, y, s, beta):
    if not s.any():
        return
    for ours, theirs, kwargs in (
        (decisions.precision, sklearn.metrics.precision_score, {}),
        (decisions.recall, sklearn.metrics.recall_score, {}),
        (decisions.f_score, sklearn.metrics.fbeta_score, {"beta": beta}),
    ):
        found = ours(predicted, y, sample_weight=s, **kwargs)
        undefined = theirs(y, predicted, sample_weight=s, zero_division=np.nan, **kwargs)
        if np.isnan(found):
            assert silent(theirs, y, predicted, sample_weight=s, **kwargs) == 0
            assert np.isnan(undefined)
        else:
            close(found, undefined)


def test_accuracy_compares_integers_as_they_are():
    y = np.array([2**24, 2**24 + 1, 7], np.int32)
    assert decisions.accuracy(y + np.array([0, 0, 1], np.int32), y) == pytest.approx(2 / 3)
    assert decisions.accuracy(np.roll(y, 1), y) == 0  # 2²⁴ + 1 is no float32


@pytest.mark.parametrize("label", [np.int32, np.int8, bool, np.float32, float])
def test_labels_may_have_any_dtype(label):
    rng = np.random.default_rng(0)
    predicted, y = rng.integers(0, 2, (2, N))
    for metric in (decisions.precision, decisions.recall, decisions.f_score, decisions.accuracy):
        np.testing.assert_allclose(
            metric(predicted.astype(label), y.astype(label)), metric(predicted, y), rtol=1e-7
        )
    matrix = functools.partial(decisions.confusion_matrix, classes=2)
    np.testing.assert_array_equal(
        matrix(predicted.astype(label), y.astype(label)), matrix(predicted, y)
    )


def test_nothing_predicted_and_nothing_there_are_not_numbers():
    none, some = np.zeros(N, int), np.arange(N) % 2
    assert np.isnan(decisions.precision(none, some))
    assert decisions.recall(none, some) == 0
    assert decisions.f_score(none, some) == 0
    assert decisions.precision(some, none) == 0
    assert np.isnan(decisions.recall(some, none))
    assert decisions.f_score(some, none) == 0
    assert np.isnan(decisions.f_score(none, none))


def test_an_absent_class_is_left_out_of_the_mean_of_the_recalls():
    predicted, y = np.array([0, 1, 1, 3] * 3), np.array([0, 1, 0, 1] * 3)
    close(balanced_accuracy(predicted, y), (1 / 2 + 1 / 2) / 2)
    assert balanced_accuracy(y, y) == 1
    assert balanced_accuracy(0 * y, 0 * y) == 1


def test_no_weight_at_all_is_no_answer_but_an_empty_matrix():
    predicted, y = np.zeros((2, N), int)
    zero = np.zeros(N)
    for metric in (decisions.accuracy, balanced_accuracy, decisions.precision, decisions.f_score):
        assert np.isnan(metric(predicted, y, sample_weight=zero))
    assert (confusion_matrix(predicted, y, sample_weight=zero) == 0).all()


@pytest.mark.parametrize("wrong", [-1.0, 4.0, 0.5, np.nan, np.inf])
@pytest.mark.parametrize("which", [0, 1], ids=["predicted", "y"])
def test_a_label_that_is_no_class_shows_where_it_counts(wrong, which):
    rng = np.random.default_rng(0)
    pair, s = rng.integers(0, 2, (2, N)).astype(float), np.ones(N)
    spoilt = pair.copy()
    spoilt[which, 3] = wrong
    s[3] = 0
    for metric in (
        balanced_accuracy, confusion_matrix,
        decisions.precision, decisions.recall, decisions.f_score,
    ):  # fmt: skip
        assert np.isnan(metric(*spoilt)).all()
        assert np.isnan(metric(*spoilt, sample_weight=1 - s)).all()
        np.testing.assert_array_equal(
            metric(*spoilt, sample_weight=s), metric(*pair, sample_weight=s)
        )


def test_a_class_among_many_by_comparison_or_from_the_matrix():
    predicted, y = np.random.default_rng(1).integers(0, 4, (2, N))
    C = np.asarray(confusion_matrix(predicted, y))
    for c in range(4):
        close(decisions.precision(predicted == c, y == c), C[c, c] / C[:, c].sum())
        close(decisions.recall(predicted == c, y == c), C[c, c] / C[c].sum())


def test_no_class_is_refused():
    zero = np.zeros(N, int)
    for metric in (decisions.balanced_accuracy, decisions.confusion_matrix):
        with pytest.raises(ValueError, match="classes must be at least 1, got 0"):
            metric(zero, zero, classes=0)


def test_a_new_beta_compiles_nothing():
    predicted, y = np.arange(N) % 2, np.arange(N) % 3 % 2
    decisions.f_score(predicted, y, beta=0.4)
    before = decisions.f_score._cache_size()
    decisions.f_score(predicted, y, beta=0.6)
    assert decisions.f_score._cache_size() == before


def test_f_score_is_differentiable_in_beta():
    predicted, y = np.arange(N) % 2, np.arange(N) % 3 % 2

    def score(beta):
        return decisions.f_score(predicted, y, beta=beta)

    expected = (score(1.0 + 1e-6) - score(1.0 - 1e-6)) / 2e-6
    np.testing.assert_allclose(jax.grad(score)(1.0), expected, rtol=1e-6)
