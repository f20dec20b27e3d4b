"""Scores against their definition."""

import jax
import numpy as np

from mlmath.evaluate import scorer


def predict(params, x):
    return params @ x


def absolute(predicted, y, *, sample_weight=None):
    s = np.ones(len(y)) if sample_weight is None else sample_weight
    return s @ abs(predicted - y) / s.sum()


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=3), rng.normal(size=(7, 3)), rng.normal(size=7), rng.random(7)


def test_a_score_is_equation_1_with_its_sign():
    params, X, y, s = data()
    right = sum(s * abs(X @ params - y)) / sum(s)
    gain = scorer.scorer(predict, absolute)(params, X, y, sample_weight=s)
    loss = scorer.of_loss(predict, absolute)(params, X, y, sample_weight=s)
    np.testing.assert_allclose([gain, loss], [right, -right], rtol=1e-12)


def test_people_are_shown_equation_2():
    params, X, y, s = data()
    for make in (scorer.scorer, scorer.of_loss):
        score = make(predict, absolute)
        value = score(params, X, y, sample_weight=s)
        np.testing.assert_allclose(
            scorer.shown(score, value), absolute(X @ params, y, sample_weight=s)
        )
    assert scorer.shown(lambda params, X, y: 2.0, 2.0) == 2.0


def test_equal_parts_make_equal_scores_and_others_do_not():
    a, b = scorer.scorer(predict, absolute), scorer.scorer(predict, absolute)
    assert a is b
    assert a is not scorer.of_loss(predict, absolute)


def test_a_score_compiles_batches_and_differentiates():
    params, X, y, s = data()
    score = scorer.of_loss(predict, absolute)
    np.testing.assert_allclose(jax.jit(score)(params, X, y), score(params, X, y))
    many = np.stack([params, 2 * params])
    found = jax.vmap(lambda p: score(p, X, y, sample_weight=s))(many)
    np.testing.assert_allclose(found[1], score(2 * params, X, y, sample_weight=s))
    slope = jax.grad(lambda p: score(p, X, y, sample_weight=s))(params)
    np.testing.assert_allclose(slope, -(s * np.sign(X @ params - y)) @ X / s.sum(), rtol=1e-12)
