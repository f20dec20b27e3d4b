"""PCA of incomplete rows: marginal Gaussians, its maximum, held-out pixels, what is absent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.datasets import load_digits, load_iris

import mlmath
from mlmath.latent import incomplete_pca, probabilistic_pca

IRIS = load_iris().data[::3]
RNG = np.random.default_rng(0)
SEEN = RNG.random(IRIS.shape) < 0.7
SEEN[4] = [False, True, False, False]
SEEN[:3] = True
WEIGHT = RNG.uniform(0.5, 2, len(IRIS))


def some(k=2, d=4):
    rng = np.random.default_rng(1)
    return incomplete_pca.Params(3 * rng.random(d), rng.normal(size=(k, d)), np.asarray(0.3))


def covariance(params):
    W = np.asarray(params.loadings)
    return W.T @ W + float(params.noise) * np.eye(W.shape[1])


@pytest.fixture(scope="module")
def fitted():
    start = incomplete_pca.init(IRIS, k=2, observed=SEEN, sample_weight=WEIGHT)
    return incomplete_pca.fit(start, IRIS, observed=SEEN, sample_weight=WEIGHT)


def refit(X=IRIS, observed=SEEN, s=WEIGHT, start=None, **more):
    start = some() if start is None else start
    return incomplete_pca.fit(start, X, observed=observed, sample_weight=s, **more)


def same(ours, theirs, rtol=1e-7):
    for a, b in zip(ours.params, theirs.params, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-8)
    np.testing.assert_allclose(ours.certificate.objective, theirs.certificate.objective, rtol=1e-10)


def test_the_density_is_the_marginal_of_what_is_observed():
    params = some()
    C, total = covariance(params), 0.0
    for x, o, s in zip(IRIS, SEEN, WEIGHT, strict=True):
        if o.any():
            right = multivariate_normal(params.mean[o], C[np.ix_(o, o)]).logpdf(x[o])
            np.testing.assert_allclose(incomplete_pca.log_prob(params, x, o), right)
            total -= s * right
    found = incomplete_pca.objective(params, IRIS, observed=SEEN, sample_weight=WEIGHT)
    np.testing.assert_allclose(found, total)
    everything = incomplete_pca.objective(params, IRIS)
    np.testing.assert_allclose(everything, probabilistic_pca.objective(params, IRIS))
    assert incomplete_pca.log_prob(params, IRIS[0], np.zeros(4, bool)) == 0


def test_what_is_imputed_is_the_conditional_mean_of_the_gaussian():
    params, C = some(), covariance(some())
    for x, o in zip(IRIS, SEEN, strict=True):
        gain = np.linalg.solve(C[np.ix_(o, o)], (x - params.mean)[o])
        right = np.where(o, x, params.mean + C[:, o] @ gain)
        found = incomplete_pca.impute(params, np.where(o, x, np.nan), o)
        np.testing.assert_allclose(found, right)
        np.testing.assert_array_equal(found[o], x[o])
        t = incomplete_pca.transform(params, x, o)
        np.testing.assert_allclose(t, params.loadings[:, o] @ gain, atol=1e-12)


def test_no_step_raises_the_objective_and_the_last_is_stationary(fitted):
    values = [float(refit(max_steps=steps).certificate.objective) for steps in range(8)]
    assert np.diff(values).max() < 0
    assert fitted.certificate.converged
    slope = jax.grad(incomplete_pca.objective)(
        fitted.params, IRIS, observed=SEEN, sample_weight=WEIGHT
    )
    for g, p in zip(slope, fitted.params, strict=True):
        assert np.abs(g * p).max() < 1e-7 * abs(fitted.certificate.objective)


def test_the_axes_are_unique_wherever_it_starts(fitted):
    W = np.asarray(fitted.params.loadings)
    inner = W @ W.T
    np.testing.assert_allclose(inner[0, 1], 0, atol=1e-12)
    assert inner[0, 0] > inner[1, 1]
    assert (W[[0, 1], np.abs(W).argmax(axis=1)] > 0).all()
    same(refit(), fitted)


def test_with_every_entry_it_is_the_closed_form():
    right = probabilistic_pca.fit(IRIS, k=2, sample_weight=WEIGHT)
    same(refit(observed=None), right)
    again = refit(observed=None, start=right.params)
    assert again.certificate.steps == 0
    same(refit(observed=np.ones(IRIS.shape, bool)), right)
    start = incomplete_pca.init(IRIS, k=2, sample_weight=WEIGHT)
    for a, b in zip(start, right.params, strict=True):
        np.testing.assert_allclose(a, b)


def test_two_columns_of_which_one_has_gaps_have_the_answer_of_regression():
    """Any covariance of two columns is of this kind; Anderson (1957) has the maximum."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=40)
    y = 0.8 * x + 0.5 * rng.normal(size=40) + 1
    full = np.arange(40) < 25
    observed = np.stack([np.ones(40, bool), full], axis=1)
    slope, level = np.polyfit(x[full], y[full], 1)
    left = np.mean((y - slope * x - level)[full] ** 2)
    X = np.stack([x, np.where(full, y, np.nan)], axis=1)
    start = incomplete_pca.init(X, k=1, observed=observed)
    found = incomplete_pca.fit(start, X, observed=observed).params
    np.testing.assert_allclose(found.mean, [x.mean(), level + slope * x.mean()], rtol=1e-7)
    right = np.array([[1, slope], [slope, slope**2]]) * x.var() + np.diag([0, left])
    np.testing.assert_allclose(covariance(found), right, rtol=1e-7)


def test_held_out_pixels_of_digits_are_better_than_means_of_their_columns():
    images = load_digits().data[:400].astype(np.float32) / 16
    observed = np.random.default_rng(2).random(images.shape) > 0.2
    X = np.where(observed, images, np.nan)

    def error(filled):
        return np.sqrt(np.mean((np.asarray(filled) - images)[~observed] ** 2))

    def by_planes(k):
        start = incomplete_pca.init(X, k=k, observed=observed)
        found = incomplete_pca.fit(start, X, observed=observed)
        assert found.certificate.converged
        return error(mlmath.rows(incomplete_pca.impute)(found.params, X, observed))

    means = error(np.broadcast_to(np.nanmean(X, axis=0), X.shape))
    assert by_planes(10) < 0.7 * means  # of three draws: 0.64, 0.65 and 0.67
    assert by_planes(10) < by_planes(2) < means


def test_an_entry_that_nobody_observes_may_hold_anything(fitted):
    for absent in (np.nan, np.inf, 1e300):
        X = np.where(SEEN, IRIS, absent)
        same(refit(X), fitted)
        found, right = (incomplete_pca.objective(some(), Z, observed=SEEN) for Z in (X, IRIS))
        np.testing.assert_array_equal(found, right)
        start = incomplete_pca.init(X, k=2, observed=SEEN, sample_weight=WEIGHT)
        assert all(np.isfinite(a).all() for a in start)
    slope = jax.jit(jax.grad(lambda X: refit(X).params.noise))(np.where(SEEN, IRIS, np.nan))
    np.testing.assert_array_equal(slope[~SEEN], 0)
    assert (np.abs(slope[SEEN]) > 0).any()


def test_an_observed_nan_shows_unless_its_row_is_absent():
    X = np.where(SEEN, IRIS, np.nan)
    X[0, 1] = np.nan
    for s in (WEIGHT, None):
        shown = refit(X, s=s)
        assert np.isnan(shown.certificate.gap)
        assert np.isnan(shown.certificate.objective)
        assert not shown.certificate.converged
    s = np.where(np.arange(len(X)) == 0, 0, WEIGHT)
    same(refit(X, s=s), refit(IRIS[1:], SEEN[1:], WEIGHT[1:]))


def test_a_row_that_observes_nothing_changes_nothing(fitted):
    X = np.concatenate([IRIS, np.full((5, 4), np.nan)])
    observed = np.concatenate([SEEN, np.zeros((5, 4), bool)])
    s = np.append(WEIGHT, [1.0, 2.0, np.nan, 1e9, 0.0])
    more = refit(X, observed, s)
    same(more, fitted)
    assert more.certificate.steps == refit().certificate.steps


def test_of_a_column_that_nobody_observes_nothing_is_known():
    X = np.insert(IRIS, 2, np.nan, axis=1)
    observed = np.insert(SEEN, 2, False, axis=1)
    ours = refit(X, observed, start=some(d=5))
    rest = refit(start=some())
    assert ours.certificate.converged
    assert np.isnan(ours.params.mean[2])
    np.testing.assert_array_equal(ours.params.loadings[:, 2], 0)
    params = ours.params._replace(
        mean=np.delete(ours.params.mean, 2), loadings=np.delete(ours.params.loadings, 2, axis=1)
    )
    same(ours._replace(params=params), rest)
    filled = mlmath.rows(incomplete_pca.impute)(ours.params, X, observed)
    assert np.isnan(filled[:, 2]).all()
    assert np.isfinite(np.delete(filled, 2, axis=1)).all()
    again = refit(X, observed, start=ours.params)
    assert again.certificate.steps <= 1
    observed[3, 2], X[3, 2] = True, 7.0
    s = np.where(np.arange(len(X)) == 3, 0, WEIGHT)
    assert np.isnan(refit(X, observed, s, start=some(d=5)).params.mean[2])


def test_a_column_with_one_entry_has_it_as_its_mean(fitted):
    X = np.insert(IRIS, 2, np.nan, axis=1)
    observed = np.insert(SEEN, 2, False, axis=1)
    observed[3, 2], X[3, 2] = True, 7.0
    found = refit(X, observed, start=some(d=5))
    np.testing.assert_allclose(found.params.mean[2], 7)
    np.testing.assert_allclose(found.params.loadings[:, 2], 0, atol=1e-8)


def test_what_determines_no_noise_proves_nothing():
    plane = IRIS[:, :2] @ np.random.default_rng(0).normal(size=(2, 4))
    for X in (plane, np.ones_like(IRIS)):
        assert not refit(X).certificate.converged
    assert np.isnan(refit(s=-WEIGHT).certificate.gap)
    nothing = refit(observed=np.zeros_like(SEEN))
    assert np.isnan(nothing.certificate.gap)
    flat = refit(start=some()._replace(noise=np.asarray(0.0)))
    assert np.isnan(flat.certificate.gap)


def test_rows_of_one_entry_have_the_variances_of_their_columns_by_any_noise():
    one = np.arange(4)[None] == np.arange(len(IRIS))[:, None] % 4
    s = one * WEIGHT[:, None]
    mean = (s * IRIS).sum(0) / s.sum(0)
    variances = (s * (IRIS - mean) ** 2).sum(0) / s.sum(0)
    least = (s.sum(0) / 2 * (1 + np.log(2 * np.pi * variances))).sum()
    noises = []
    for noise in (0.1, 0.5):
        found = refit(observed=one, start=some()._replace(noise=np.asarray(noise)))
        np.testing.assert_allclose(found.certificate.objective, least)
        np.testing.assert_allclose(np.diag(covariance(found.params)), variances, rtol=1e-6)
        noises.append(float(found.params.noise))
    assert noises[1] > 2 * noises[0]


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="1 to 3, below d and at most n, got 4"):
        refit(start=some(k=4))
    with pytest.raises(ValueError, match="1 to 2"):
        refit(IRIS[:2], SEEN[:2], WEIGHT[:2], start=some(k=3))
    with pytest.raises(ValueError, match="k must be from 1 to 3"):
        incomplete_pca.init(IRIS, k=4, observed=SEEN)
    with pytest.raises(
        TypeError, match=r"observed must be None or a boolean array of shape \(n, d\)"
    ):
        refit(observed=SEEN.astype(float))
    with pytest.raises(TypeError, match="observed"):
        refit(observed=SEEN[:, :3])


def test_masks_in_lanes_are_a_loop():
    """Entries held out of each fold in one program."""
    folds = np.random.default_rng(8).integers(3, size=SEEN.shape)
    masks = np.stack([SEEN & (folds != fold) for fold in range(3)])
    lanes = jax.vmap(lambda observed: refit(observed=observed))(jnp.asarray(masks))
    size = incomplete_pca.fit._cache_size()
    for lane, observed in enumerate(masks):
        same(jax.tree.map(lambda a, lane=lane: a[lane], lanes), refit(observed=observed))
    assert incomplete_pca.fit._cache_size() <= size + 1


@pytest.mark.parametrize(("dtype", "far"), [(np.float32, 3e38), (float, 1e200)])
def test_a_row_of_weight_0_may_be_so_far_that_its_square_overflows(dtype, far):
    start = incomplete_pca.Params(*(np.asarray(a, dtype) for a in some()))
    observed = np.concatenate([SEEN, [[True, False, True, True]]])

    @jax.jit
    def numbers(X, s):
        def value(s):
            found = refit(X, observed, s, start=start)
            right = incomplete_pca.objective(start, X, observed=observed, sample_weight=s)
            return right + 100 * found.params.noise, found

        (value, found), slope = jax.value_and_grad(value, has_aux=True)(s)
        return value, found.params, slope[:-1], found.certificate.converged

    s = np.append(WEIGHT, 0).astype(dtype)
    *ours, theirs = (
        numbers(np.concatenate([IRIS, np.full((1, 4), last)]).astype(dtype), s)
        for last in (far, np.nan)
    )
    assert ours[0][-1]
    tolerance = 1e-3 if dtype == np.float32 else 1e-7
    for a, b in zip(jax.tree.leaves(ours[0]), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_a_row_of_weight_0_that_is_far_but_not_that_far_keeps_its_influence():
    X = np.concatenate([IRIS, np.full((1, 4), 1e6)])
    observed, s = np.concatenate([SEEN, np.ones((1, 4), bool)]), np.append(WEIGHT, 0.0)
    params = some()
    slope = jax.grad(lambda s: incomplete_pca.objective(
        params, X, observed=observed, sample_weight=s))(s)  # fmt: skip
    right = -incomplete_pca.log_prob(params, X[-1], observed[-1])
    np.testing.assert_allclose(slope[-1], right)
    of_fit = jax.grad(lambda s: refit(X, observed, s).certificate.objective)(s)[-1]
    np.testing.assert_allclose(
        of_fit, -incomplete_pca.log_prob(refit().params, X[-1], observed[-1])
    )


def test_a_row_of_weight_0_may_observe_a_column_of_unknown_mean():
    params = some()._replace(mean=np.array([1.0, np.nan, 2.0, 3.0]))
    observed = SEEN & (np.arange(4) != 1)
    s, more = np.where(np.arange(len(IRIS)) == 0, 0, WEIGHT), observed.copy()
    more[0, 1] = True
    found, right = (
        incomplete_pca.objective(params, IRIS, observed=o, sample_weight=s)
        for o in (more, observed)
    )
    assert np.isfinite(right)
    np.testing.assert_allclose(found, right)


def test_the_influence_at_weight_0_is_that_of_the_entries_of_known_mean():
    observed = SEEN & (np.arange(4) != 1)
    s, more = jnp.where(np.arange(len(IRIS)) == 0, 0, WEIGHT), observed.copy()
    more[0, 1] = True
    params = refit(start=some(), s=s, observed=observed, max_steps=3).params
    assert np.isnan(params.mean[1])

    def influences(o):
        def fitted(s):
            return refit(start=some(), s=s, observed=o, max_steps=3).certificate.objective

        def given(s):
            return incomplete_pca.objective(params, IRIS, observed=o, sample_weight=s)

        return jax.grad(fitted)(s), jax.grad(given)(s)

    right = influences(observed)[1]
    assert abs(right[0]) > 1
    for found in influences(more):
        np.testing.assert_allclose(found, right, rtol=1e-8, atol=1e-8)


def test_the_objective_has_its_partial_derivatives_where_steps_stop_early():
    start, X, s = some(), jnp.asarray(IRIS), jnp.asarray(WEIGHT)

    def slope(max_steps):
        value = lambda X, s: refit(X, s=s, max_steps=max_steps).certificate.objective  # noqa: E731
        return jax.grad(value, (0, 1))(X, s)

    for max_steps in (0, 3, 1000):
        params = refit(start=start, max_steps=max_steps).params
        right = jax.grad(
            lambda X, s, params=params: incomplete_pca.objective(
                params, X, observed=SEEN, sample_weight=s
            ),
            (0, 1),
        )(X, s)
        for a, b in zip(slope(max_steps), right, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)
