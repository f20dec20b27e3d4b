"""Fits and scores over folds against a loop in Python."""

import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.tree_util import Partial
from sklearn.model_selection import KFold

from mlmath.certificate import Certificate, certify
from mlmath.evaluate import selection, validation
from mlmath.evaluate.folds import Folds
from mlmath.evaluate.scorer import scorer
from mlmath.linear import adaline, logistic_regression, ridge
from mlmath.statistics import standardise
from mlmath.statistics.compose import compose
from tests.test_contract import row_collectives

N, D, F = 40, 3, 4
GRID = {"l2": np.array([0.1, 1.0, 10.0])}


def r_squared(predicted, y, *, sample_weight=None):
    s = sample_weight
    return 1 - s @ (y - predicted) ** 2 / (s @ (y - s @ y / s.sum()) ** 2)


SCORE = scorer(ridge.predict, r_squared)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D)) * [1.0, 5.0, 0.1] + 2
    return X, X @ [1.0, 0.3, -4.0] + rng.normal(size=N), rng.uniform(0.5, 2, size=N)


@pytest.fixture(scope="module")
def folds():
    test = np.zeros((F, N), bool)
    for k, (_, held) in enumerate(KFold(F, shuffle=True, random_state=0).split(np.zeros(N))):
        test[k, held] = True
    return Folds(~test, test)


def loop(X, y, s, folds, l2):
    """Eq. (1) by a loop over slices of the rows."""
    found = []
    for train, test in zip(*folds, strict=True):
        fitted = ridge.fit(X[train], y[train], l2=l2, sample_weight=s[train])
        predicted = X[test] @ fitted.params.weights + fitted.params.bias
        found.append(r_squared(predicted, y[test], sample_weight=s[test]))
    return np.array(found)


def test_cross_validation_is_equation_1(data, folds):
    X, y, s = data
    found = validation.cross_validate(
        Partial(ridge.fit, l2=2.0), SCORE, X, y, folds, sample_weight=s
    )
    np.testing.assert_allclose(found.scores, loop(X, y, s, folds, 2.0), rtol=1e-12)
    assert found.params.weights.shape == (F, D)
    assert found.certificate.converged.all()


@pytest.mark.parametrize("batch_size", [None, 1, 2])
def test_candidates_are_equation_1(data, folds, batch_size):
    X, y, s = data
    found = validation.score_all(
        ridge.fit, SCORE, X, y, folds, GRID, sample_weight=s, batch_size=batch_size
    )
    right = np.stack([loop(X, y, s, folds, l2) for l2 in GRID["l2"]], axis=1)
    np.testing.assert_allclose(found.scores, right, rtol=1e-12)
    assert found.certificates.converged.shape == (F, 3)


def test_no_weights_are_ones(data, folds):
    X, y, _ = data
    found = validation.cross_validate(ridge.fit, SCORE, X, y, folds)
    np.testing.assert_allclose(found.scores, loop(X, y, np.ones(N), folds, 1.0), rtol=1e-12)


def test_held_out_rows_leak_nothing_bit_for_bit(data, folds):
    X, y, s = data
    model = compose(standardise, ridge)
    score = scorer(model.predict, r_squared)
    before = validation.cross_validate(model.fit, score, X, y, folds, sample_weight=s).params
    for k, wild in enumerate([np.nan, 1e30, -3.0, np.inf]):
        X2, y2 = X.copy(), y.copy()
        X2[folds.test[k]] = wild
        y2[folds.test[k]] = wild
        after = validation.cross_validate(model.fit, score, X2, y2, folds, sample_weight=s).params
        for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
            np.testing.assert_array_equal(a[k], b[k])


class Drawn(NamedTuple):
    params: Any
    certificate: Certificate


def drawn(key, X, y, *, shift=0.0, sample_weight=None):
    return Drawn(shift + jax.random.normal(key), certify(0.0, 0.0, 1.0))


def identity(params, X, y, *, sample_weight=None):
    return params


def test_a_fit_that_draws_has_one_key_per_fold_and_seed_shared_by_the_candidates(data, folds):
    X, y, _ = data
    keys = jax.random.split(jax.random.key(0), (F, 5))
    own = jax.vmap(jax.vmap(jax.random.normal))(keys)
    shift = np.array([0.0, 10.0])
    found = validation.score_all(drawn, identity, X, y, folds, {"shift": shift}, keys=keys)
    np.testing.assert_allclose(found.scores, own[:, None, :] + shift[None, :, None])
    seeded = validation.cross_validate_seeds(
        jax.random.key(0), drawn, identity, X, y, folds, seeds=5
    )
    np.testing.assert_allclose(seeded.scores, own)
    assert len(np.unique(seeded.params)) == F * 5


def test_two_calls_trace_once_and_a_partial_carries_numbers(data, folds):
    X, y, _ = data
    chex.clear_trace_counter()

    @chex.assert_max_traces(n=1)
    def fit(X, y, *, l2=1.0, sample_weight=None):
        return ridge.fit(X, y, l2=l2, sample_weight=sample_weight)

    first = validation.score_all(fit, SCORE, X, y, folds, GRID)
    again = scorer(ridge.predict, r_squared)
    second = validation.score_all(fit, again, X, y + 1, folds, {"l2": 2 * GRID["l2"]})
    assert not np.allclose(first.scores, second.scores)
    chex.clear_trace_counter()
    one, other = (
        validation.cross_validate(Partial(fit, l2=l2), SCORE, X, y, folds).scores
        for l2 in (1.0, 100.0)
    )
    assert not np.allclose(one, other)
    with pytest.raises(AssertionError, match="traced > 1 times"):
        validation.cross_validate(Partial(fit, l2=1.0), SCORE, X[:-1], y[:-1], Folds(
            folds.train[:, :-1], folds.test[:, :-1]))  # fmt: skip


def test_what_fixes_a_shape_is_bound_by_partial(data, folds):
    from mlmath.linear import softmax_regression

    def share(predicted, y, *, sample_weight=None):
        return sample_weight @ (predicted.argmax(axis=1) == y) / sample_weight.sum()

    X, y, _ = data
    labels = np.digitize(y, np.quantile(y, [0.3, 0.6]))
    found = validation.score_all(
        functools.partial(softmax_regression.fit, classes=3),
        scorer(softmax_regression.predict, share), X, labels, folds, {"l2": np.array([0.1, 1.0])},
    )  # fmt: skip
    assert found.scores.shape == (F, 2)
    assert (found.scores > 0.4).all()


def test_the_mean_score_has_the_derivative_of_refitting(data, folds):
    X, y, s = data

    def mean(log_l2):
        fit = Partial(ridge.fit, l2=jnp.exp(log_l2))
        return validation.cross_validate(fit, SCORE, X, y, folds, sample_weight=s).scores.mean()

    h = 1e-4
    right = (loop(X, y, s, folds, np.exp(h)) - loop(X, y, s, folds, np.exp(-h))).mean() / (2 * h)
    np.testing.assert_allclose(jax.grad(mean)(0.0), right, rtol=1e-6)


def test_what_does_not_depend_on_the_candidate_is_computed_once_per_fold():
    rng = np.random.default_rng(0)
    n, d, c = 211, 17, 6
    X, y = rng.normal(size=(n, d)), rng.normal(size=n)
    test = np.arange(n)[None] % 3 == np.arange(3)[:, None]
    grid = {"l2": np.logspace(-2, 2, c)}
    text = (
        jax.jit(lambda X: validation.score_all(ridge.fit, SCORE, X, y, Folds(~test, test), grid))
        .lower(X)
        .compile()
        .as_text()
    )
    assert f"f64[{c},{n},{d}]" not in text  # no copy of the rows per candidate
    assert f"f64[{c},{d},{d}]" not in text.split("ENTRY")[-1]
    eigen = [line for line in text.splitlines() if "custom-call(" in line and "syev" in line]
    assert len(eigen) == 1
    assert f"f64[{c}," not in eigen[0]


@pytest.mark.parametrize("method", ["ridge", "logistic_regression"])
def test_sharded_rows_give_the_same_scores_and_stay(method):
    rng = np.random.default_rng(0)
    share, d = 41, 4
    n = 8 * share
    X = rng.normal(size=(n, d))
    y = X @ rng.normal(size=d) + rng.normal(size=n)
    fit, predict = ridge.fit, ridge.predict
    if method != "ridge":
        y = (y > 0).astype(float)
        fit, predict = logistic_regression.fit, logistic_regression.predict
    test = np.arange(n)[None] % 3 == np.arange(3)[:, None]
    run = jax.jit(
        lambda X, y: selection.search(
            fit, scorer(predict, r_squared), X, y, Folds(~test, test), GRID
        )
    )
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
    spread = [jax.device_put(a, NamedSharding(mesh, PartitionSpec("rows"))) for a in (X, y)]
    program = run.lower(*spread).compile()
    found, right = program(*spread), run(X, y)
    np.testing.assert_allclose(found.scores, right.scores, rtol=1e-9)
    np.testing.assert_allclose(found.params.weights, right.params.weights, rtol=1e-7)
    assert row_collectives(program.as_text()) == []


MISUSE = [
    ({"grid": {}}, "grid must hold at least one candidate, got none."),
    ({"grid": {"l2": np.zeros(0)}}, "grid must hold at least one candidate, got none."),
    (
        {"grid": {"l2": np.ones(2), "tolerance": np.ones(3)}},
        "the arrays of grid must have one length, got l2 2, tolerance 3.",
    ),
    ({"grid": {"l2": 1.0}}, "grid['l2'] must be an array of candidates, got one number."),
    ({"grid": {"l_2": np.ones(2)}}, "the fit takes no 'l_2'; did you mean 'l2'?"),
    ({"grid": {"zzz": np.ones(2)}}, "the fit takes no 'zzz'; it takes l2, tolerance."),
    ({"score": lambda p, X, y, *, sample_weight: X[0]}, "score must return one number, got an "
     "array of shape (3,)."),
    ({"score": lambda p, X, y, *, sample_weight: None}, "score must return one number, got "
     "NoneType."),
    ({"fit": adaline.fit, "grid": {"epochs": np.arange(1, 3)}}, "'epochs' fixes the program of the "
     "fit and cannot vary in it; bind it with functools.partial."),
    ({"batch_size": 0}, "batch_size must be at least 1, got 0."),
    ({"batch_size": -1}, "batch_size must be at least 1, got -1."),
    ({"folds": Folds(np.zeros((0, N), bool), np.zeros((0, N), bool))}, "folds must hold at least "
     "one fold, got none."),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), MISUSE, ids=[m[1][:40] for m in MISUSE])
def test_misuse_is_one_sentence(data, folds, change, sentence):
    X, y, _ = data
    given = {"fit": ridge.fit, "score": SCORE, "X": X, "y": y, "folds": folds, "grid": GRID}
    with pytest.raises(ValueError, match=r"\.|\?") as caught:
        validation.score_all(**(given | change))
    assert str(caught.value) == sentence


def test_scores_may_be_whole_numbers_and_candidates_a_list(data, folds):
    X, y, _ = data

    def above(params, X, y, *, sample_weight):
        return jnp.sum((X @ params.weights > 0) & (sample_weight > 0))

    listed = selection.search(ridge.fit, above, X, y, folds, {"l2": [0.1, 1.0]})
    assert jnp.issubdtype(listed.scores.dtype, jnp.floating)
    arrays = selection.search(ridge.fit, above, X, y, folds, {"l2": np.array([0.1, 1.0])})
    np.testing.assert_array_equal(listed.scores, arrays.scores)


@pytest.mark.parametrize("run", ["search_seeds", "cross_validate_seeds"])
def test_a_fit_without_a_key_and_no_seeds_are_refused(data, folds, run):
    X, y, _ = data
    grid = ({"l2": np.ones(2)},) if run == "search_seeds" else ()
    given = (SCORE, X, y, folds, *grid)
    with pytest.raises(ValueError, match="fit must take a key before X and y, but takes none"):
        getattr(selection, run)(jax.random.key(0), ridge.fit, *given)

    def drawn(key, X, y, *, l2=1.0, sample_weight=None):
        return ridge.fit(X, y, l2=l2, sample_weight=sample_weight)

    with pytest.raises(ValueError, match="seeds must be at least 1, got 0"):
        getattr(selection, run)(jax.random.key(0), drawn, *given, seeds=0)
    with pytest.raises(TypeError, match="a typed key"):
        getattr(selection, run)(jax.random.PRNGKey(0), drawn, *given)


def test_a_composed_model_knows_its_hyperparameters(data, folds):
    X, y, _ = data
    model = compose(standardise, ridge)
    with pytest.raises(ValueError, match="the fit takes no 'l_2'; did you mean 'l2'"):
        validation.score_all(
            model.fit, scorer(model.predict, r_squared), X, y, folds, {"l_2": np.ones(2)}
        )


def test_folds_of_other_rows_are_refused(data, folds):
    X, y, _ = data
    with pytest.raises(TypeError, match=r"folds .* does not fit"):
        validation.cross_validate(ridge.fit, SCORE, X[:-1], y[:-1], folds)
