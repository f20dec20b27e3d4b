"""Influence equals finite differences of refitting, its formula, and textbook distances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import statsmodels.api as sm

from mlmath.evaluate import influence, leave_one_out
from mlmath.linear import least_squares, logistic_regression, plane, ridge
from mlmath.statistics import standardise
from mlmath.statistics.compose import compose

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)) @ RNG.normal(size=(4, 4)) + 1
Y = X @ [1.0, -2.0, 0.5, 3.0] + 7 + RNG.normal(size=40)
LABELS = (X @ [0.5, -0.5, 0.3, 0.2] + RNG.logistic(size=40) > 0).astype(float)
S = RNG.uniform(0.2, 2, size=40)
A = np.c_[X, np.ones(40)]

prepared = compose(standardise, logistic_regression)
FITS = [(ridge.fit, Y), (prepared.fit, LABELS)]
examine = pytest.mark.parametrize(("fit", "y"), FITS, ids=["ridge", "composed logistic"])


def flat(params):
    return np.concatenate([np.ravel(a) for a in jax.tree.leaves(params)])


def matrix(params):
    """Parameters of all rows as (n, p)."""
    return np.concatenate([np.asarray(a).reshape(len(a), -1) for a in jax.tree.leaves(params)], 1)


def total(params):
    return sum(jnp.sum(a**2) for a in jax.tree.leaves(params))


@examine
def test_influence_equals_finite_differences_of_refitting(fit, y):
    found = matrix(influence.parameters(fit, X, y, sample_weight=S, l2=0.7))
    effect = influence.on(total, fit, X, y, sample_weight=S, l2=0.7)
    h, params = 1e-4, fit(X, y, sample_weight=S, l2=0.7).params
    for i in (0, 11, 39):
        up, down = (
            flat(fit(X, y, sample_weight=S + sign * h * (np.arange(40) == i), l2=0.7).params)
            for sign in (1, -1)
        )
        np.testing.assert_allclose(found[i], (up - down) / (2 * h), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(effect, found @ flat(jax.grad(total)(params)), rtol=1e-9)


def test_influence_is_its_definition():
    params = logistic_regression.fit(X, LABELS, sample_weight=S, l2=0.7).params
    p = 1 / (1 + np.exp(-A @ flat(params)))
    H = A.T @ np.diag(S * p * (1 - p)) @ A + np.diag([0.7, 0.7, 0.7, 0.7, 0])
    expected = -np.linalg.solve(H, ((p - LABELS)[:, None] * A).T).T
    found = influence.parameters(logistic_regression.fit, X, LABELS, sample_weight=S, l2=0.7)
    np.testing.assert_allclose(matrix(found), expected, rtol=1e-8, atol=1e-12)


@examine
def test_it_is_leaving_a_row_out_to_first_order(fit, y):
    """The same rows 2 and 8 times: what first order misses falls as 1/n²."""
    tiled, targets, errors = np.tile(X, (8, 1)), np.tile(y, 8), []

    @jax.jit
    def examined(s, masked, l2):
        def params(w):
            return fit(tiled, targets, sample_weight=w, l2=l2).params

        return (
            influence.parameters(fit, tiled, targets, sample_weight=s, l2=l2),
            jax.tree.map(lambda a, b: a - b[None], jax.vmap(params)(masked), params(s)),
        )

    for copies in (2, 8):
        s = (np.arange(320) < 40 * copies).astype(float)
        found, exact = map(matrix, examined(s, (s[None] * (1 - np.eye(320)))[:40], 0.25 * copies))
        errors.append(np.abs(-found[:40] - exact).mean())
        assert errors[-1] < 0.6 / copies * np.abs(exact).mean()
    assert 16 / 1.6 < errors[0] / errors[1] < 16 * 1.6


def test_absent_rows_are_absent_and_a_finite_one_shows_what_it_would_do():
    s, holes = np.ones(40), X.copy()
    holes[0, 1], holes[1] = np.nan, np.inf
    s[:3], s[5], s[6] = 0, 2, 2
    alone = np.r_[2:5, 7:40]
    rows = np.r_[alone, 5, 5, 6, 6]
    once = (np.arange(40) > 0).astype(float)  # of what is repeated, row 2 is absent too

    def examined(X, y, s):
        params = ridge.fit(X, y, sample_weight=s, l2=0.7).params
        return (
            influence.on(total, ridge.fit, X, y, sample_weight=s, l2=0.7),
            influence.distance(ridge.loss, ridge.objective, params, X, y, sample_weight=s, l2=0.7),
        )

    weighted, repeated = examined(holes, Y, s), examined(X[rows], Y[rows], once)
    for a, b in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(a[alone], b[:36], rtol=1e-9)
        np.testing.assert_array_equal(a[:2], 0)
    assert abs(weighted[0][2]) > 1e-3
    assert weighted[1][2] == 0
    for found in examined(holes, Y, np.ones(40)):
        assert jnp.isnan(found).all()


def test_distance_equals_cooks_in_statsmodels():
    fitted = least_squares.fit(X, Y, sample_weight=np.ones(40))
    dispersion = least_squares.summarize(fitted, X, Y).residual_deviation ** 2
    D = influence.distance(
        plane.loss, least_squares.objective, fitted.params, X, Y, dispersion=dispersion,
        sample_weight=np.ones(40),
    )  # fmt: skip
    peer = sm.OLS(Y, A).fit().get_influence()
    np.testing.assert_allclose(D, peer.cooks_distance[0], rtol=1e-8)
    steps = leave_one_out.changes(plane.loss, least_squares.objective, fitted.params, X, Y)
    np.testing.assert_allclose(-matrix(steps), peer.dfbeta, rtol=1e-8, atol=1e-12)


def test_distance_of_logistic_regression_equals_statsmodels():
    params = logistic_regression.fit(X, LABELS, l2=0.0).params
    D = influence.distance(
        logistic_regression.loss, logistic_regression.objective, params, X, LABELS, l2=0.0
    )
    peer = sm.GLM(LABELS, A, family=sm.families.Binomial()).fit(tol=1e-14).get_influence()
    np.testing.assert_allclose(D, peer.cooks_distance[0], rtol=1e-5)


def test_distance_is_how_far_the_predictions_move():
    """‖ŷ − ŷ₋ᵢ‖² / (pσ̂²) by refitting, with weights: in the norm of S."""
    fitted = least_squares.fit(X, Y, sample_weight=S)
    D = influence.distance(
        plane.loss, least_squares.objective, fitted.params, X, Y, dispersion=0.8, sample_weight=S
    )
    for i in (0, 7, 23):
        without = least_squares.fit(X, Y, sample_weight=S * (np.arange(40) != i)).params
        moved = A @ (flat(without) - flat(fitted.params))
        np.testing.assert_allclose(D[i], S @ moved**2 / (5 * 0.8), rtol=1e-8)


def test_the_planted_outlier_ranks_first():
    y = Y.copy()
    y[17] += 30
    params = ridge.fit(X, y, sample_weight=np.ones(40), l2=0.7).params
    D = influence.distance(
        ridge.loss, ridge.objective, params, X, y, sample_weight=np.ones(40), l2=0.7
    )
    assert int(jnp.argmax(D)) == 17
    effect = influence.on(total, ridge.fit, X, y, sample_weight=np.ones(40), l2=0.7)
    assert int(jnp.argmax(jnp.abs(effect))) == 17


def test_influence_is_differentiable():
    def largest(l2):
        return influence.on(total, logistic_regression.fit, X, LABELS, l2=l2)[3]

    both = jax.jit(lambda l2: jax.jvp(largest, (l2,), (1.0,)))
    (up, _), (_, derivative), (down, _) = both(0.7 + 1e-5), both(0.7), both(0.7 - 1e-5)
    np.testing.assert_allclose(derivative, (up - down) / 2e-5, rtol=1e-6)


def test_jit_and_vmap_equal_eager():
    def effects(s, l2):
        params = ridge.fit(X, Y, sample_weight=s, l2=l2).params
        return (
            influence.on(total, ridge.fit, X, Y, sample_weight=s, l2=l2),
            influence.distance(ridge.loss, ridge.objective, params, X, Y, sample_weight=s, l2=l2),
        )

    weights = np.stack([S, S[::-1]])
    batched = jax.jit(jax.vmap(effects, (0, None)))(weights, 0.7)
    for lane, s in enumerate(weights):
        for a, b in zip(batched, effects(s, 0.7), strict=True):
            np.testing.assert_allclose(a[lane], b, rtol=1e-8)


def test_a_value_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match=r"value must return one number, got an array of shape"):
        influence.on(lambda params: params.weights, ridge.fit, X, Y)
