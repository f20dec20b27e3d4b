"""Steps over a stream of incomplete rows: eq. (1)–(3), against fits in memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_iris

from mlmath.latent import incomplete_pca, incomplete_pca_stream

IRIS = load_iris().data[::3]
RNG = np.random.default_rng(0)
SEEN = RNG.random(IRIS.shape) < 0.7
SEEN[4] = [False, True, False, False]
SEEN[:3] = True
SEEN[7] = False
WEIGHT = RNG.uniform(0.5, 2, len(IRIS))
CUTS = (7, 8, 31)


def some(k=2, d=4, dtype=float):
    rng = np.random.default_rng(1)
    params = 3 * rng.random(d), rng.normal(size=(k, d)), np.asarray(0.3)
    return incomplete_pca.Params(*(np.asarray(a, dtype) for a in params))


def whole(params, X=IRIS, observed=SEEN, s=WEIGHT):
    return incomplete_pca_stream.summarize(params, X, observed=observed, sample_weight=s)


def streamed(params, X=IRIS, observed=SEEN, s=WEIGHT, cuts=CUTS):
    parts = np.split(np.arange(len(X)), cuts)
    sums = [whole(params, X[i], observed[i], s[i]) for i in parts]
    total = sums[0]
    for more in sums[1:]:
        total = incomplete_pca_stream.merge(total, more)
    return total


def stepped(params, *rows, tolerance=None):
    sums = whole(params, *rows)
    return incomplete_pca_stream.solve(params, sums, tolerance=tolerance)


def refit(params, X=IRIS, observed=SEEN, s=WEIGHT, **more):
    return incomplete_pca.fit(params, X, observed=observed, sample_weight=s, **more)


def close(a, b, rtol=1e-10, atol=1e-10):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), a, b)


def naive_value(mean, covariance, X, observed, s):
    """−Σ s log N(x_O) one row at a time."""
    total = 0.0
    for x, o, w in zip(X, observed, s, strict=True):
        C, apart = covariance[np.ix_(o, o)], (x - mean)[o]
        logs = o.sum() * np.log(2 * np.pi) + np.linalg.slogdet(C)[1]
        total += w / 2 * (logs + apart @ np.linalg.solve(C, apart))
    return total


def test_the_sums_are_those_of_the_model_of_z_and_the_objective_is_equation_2():
    params = some()
    sums, sigma = streamed(params), np.sqrt(0.3)
    Z, M = np.where(SEEN, (IRIS - params.mean) / sigma, 0), SEEN * WEIGHT[:, None]
    W = params.loadings / sigma
    np.testing.assert_allclose(sums.moments[1:, 0], M.sum(0))
    np.testing.assert_allclose(sums.moments[0, 0], WEIGHT[SEEN.any(1)].sum())
    np.testing.assert_allclose(sums.entries, M.sum())
    np.testing.assert_allclose(sums.size, (M * Z**2).sum())
    pull = np.zeros((4, 3))
    for z, o, s in zip(Z, SEEN, WEIGHT, strict=True):
        A = np.eye(2) + W[:, o] @ W[:, o].T
        t = np.linalg.solve(A, W[:, o] @ z[o])
        second = np.block([[np.ones((1, 1)), t[None]], [t[:, None], np.outer(t, t)]])
        second[1:, 1:] += np.linalg.inv(A)
        beta = np.concatenate([np.zeros((4, 1)), W.T], axis=1)
        pull += s * o[:, None] * (z[:, None] * np.append(1, t)[None] - beta @ second)
    np.testing.assert_allclose(sums.pull, pull, atol=1e-10)
    C = params.loadings.T @ params.loadings + params.noise * np.eye(4)
    right = naive_value(params.mean, C, IRIS, SEEN, WEIGHT)
    found = incomplete_pca_stream.solve(params, sums).certificate.objective
    np.testing.assert_allclose(found, right, rtol=1e-12)
    there = incomplete_pca.objective(params, IRIS, observed=SEEN, sample_weight=WEIGHT)
    np.testing.assert_allclose(found, there, rtol=1e-12)


def test_the_gap_is_of_the_null_model_of_equation_3_and_the_step_gains_what_it_says():
    params = incomplete_pca.init(IRIS, observed=SEEN, sample_weight=WEIGHT)
    params = params._replace(mean=params.mean + 0.1)  # no longer that of the null model
    step = stepped(params)
    M = SEEN * WEIGHT[:, None]
    mean = (M * IRIS).sum(0) / M.sum(0)
    v = (M * (IRIS - mean) ** 2).sum() / M.sum()
    null = naive_value(mean, v * np.eye(4), IRIS, SEEN, WEIGHT)
    gap, value = (float(a) for a in (step.certificate.gap, step.certificate.objective))
    gain = gap * (null - value) / (1 - gap)
    after = incomplete_pca.objective(step.ahead, IRIS, observed=SEEN, sample_weight=WEIGHT)
    assert 0 < gain <= value - after
    excess = refit(params, max_steps=0).certificate
    np.testing.assert_allclose(gap, excess.gap, rtol=1e-9)
    assert excess.steps == 0


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("weights", [WEIGHT, np.ones(len(IRIS))], ids=["weights", "ones"])
def test_a_step_and_its_certificate_are_those_of_the_fit(k, weights):
    params = some(k)
    step = incomplete_pca_stream.solve(params, streamed(params, s=weights))
    close(step.ahead, refit(params, s=weights, max_steps=1).params, rtol=1e-9)
    before = refit(params, s=weights, max_steps=0).certificate
    np.testing.assert_allclose(step.certificate.gap, before.gap, rtol=1e-9)
    np.testing.assert_allclose(step.certificate.objective, before.objective, rtol=1e-12)
    close(step.params, params, rtol=0, atol=0)


def test_a_stream_ends_where_the_fit_does_after_as_many_steps():
    params, steps = some(), 0
    while True:
        step = incomplete_pca_stream.solve(params, streamed(params))
        if step.certificate.converged:
            break
        params, steps = step.ahead, steps + 1
    fitted = refit(some())
    assert abs(steps - int(fitted.certificate.steps)) <= 1
    close(step.params, fitted.params, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(step.certificate.objective, fitted.certificate.objective, rtol=1e-12)


def test_the_next_step_begins_at_the_principal_axes_and_where_they_lie_does_not_matter():
    params = some()
    ahead = stepped(params).ahead
    W = np.asarray(ahead.loadings)
    inner = W @ W.T
    np.testing.assert_allclose(inner[0, 1], 0, atol=1e-12)
    assert inner[0, 0] > inner[1, 1]
    assert (W[[0, 1], np.abs(W).argmax(axis=1)] > 0).all()
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    turned = stepped(params._replace(loadings=turn @ params.loadings))
    close(turned.ahead, ahead)
    np.testing.assert_allclose(turned.certificate.gap, stepped(params).certificate.gap, rtol=1e-9)


def test_without_a_mask_every_entry_is_observed():
    params = some()
    unmasked = incomplete_pca_stream.summarize(params, IRIS)
    close(unmasked, whole(params, IRIS, np.ones_like(SEEN), np.ones(len(IRIS))))


def test_blocks_are_the_array_and_a_weight_is_as_many_rows():
    params = some()
    close(streamed(params), whole(params))
    twice = np.where(np.arange(len(IRIS)) < 9, 2.0, 1.0)
    again = np.concatenate([np.arange(len(IRIS)), np.arange(9)])
    repeated = whole(params, IRIS[again], SEEN[again], np.ones(len(again)))
    close(streamed(params, s=twice), repeated)


@pytest.mark.parametrize("held", [np.nan, np.inf, 1e200])
def test_what_is_absent_may_hold_anything(held):
    params = some()
    right = whole(params)
    close(whole(params, np.where(SEEN, IRIS, held)), right)
    X = np.concatenate([np.where(SEEN, IRIS, held), np.full((2, 4), held)])
    observed = np.concatenate([SEEN, [[True, False, True, True], [False] * 4]])
    s = np.append(WEIGHT, [0.0, 5.0])
    close(whole(params, X, observed, s), right)

    def moved(X, s):
        return stepped(params, X, observed, s).ahead.noise

    for a in jax.grad(moved, (0, 1))(jnp.asarray(X), jnp.asarray(s)):
        assert np.isfinite(a).all()


def test_a_row_that_observes_nothing_may_weigh_anything():
    params, X = some(), np.concatenate([IRIS, np.full((3, 4), np.nan)])
    observed = np.concatenate([SEEN, np.zeros((3, 4), bool)])
    for weight in (-1.0, np.nan, 1e9):
        close(whole(params, X, observed, np.append(WEIGHT, np.full(3, weight))), whole(params))


def test_a_block_in_which_nothing_counts_adds_nothing_and_alone_proves_nothing():
    params = some()
    for observed, s in ((SEEN, np.zeros(len(IRIS))), (np.zeros_like(SEEN), WEIGHT)):
        nothing = whole(params, np.full_like(IRIS, np.nan), observed, s)
        close(incomplete_pca_stream.merge(whole(params), nothing), whole(params), rtol=0, atol=0)
        step = incomplete_pca_stream.solve(params, nothing)
        assert np.isnan(step.certificate.gap)
        assert not step.certificate.converged
        assert all(np.isnan(a).all() for a in step.ahead)


def test_of_a_column_that_nobody_observes_nothing_is_known():
    X = np.insert(IRIS, 2, np.nan, axis=1)
    observed = np.insert(SEEN, 2, False, axis=1)
    params = some(d=5)
    rest = params._replace(
        mean=np.delete(params.mean, 2), loadings=np.delete(params.loadings, 2, axis=1)
    )
    for mean in (params.mean[2], np.nan):
        given = params._replace(mean=np.where(np.arange(5) == 2, mean, params.mean))
        ours = incomplete_pca_stream.solve(given, streamed(given, X, observed))
        right = stepped(rest)
        assert np.isnan(ours.ahead.mean[2])
        np.testing.assert_array_equal(ours.ahead.loadings[:, 2], 0)
        close(np.delete(ours.ahead.mean, 2), right.ahead.mean)
        close(np.delete(ours.ahead.loadings, 2, axis=1), right.ahead.loadings)
        np.testing.assert_allclose(ours.ahead.noise, right.ahead.noise)
        close(ours.certificate, right.certificate)
    again = incomplete_pca_stream.solve(ours.ahead, streamed(ours.ahead, X, observed))
    assert np.isfinite(again.certificate.gap)
    observed[3, 2] = True
    X[3, 2] = 7.0
    s = np.where(np.arange(len(X)) == 3, 0, WEIGHT)
    close(whole(ours.ahead, X, observed, s), whole(ours.ahead, X, observed & (s != 0)[:, None], s))
    shown = incomplete_pca_stream.solve(ours.ahead, whole(ours.ahead, X, observed))
    assert not shown.certificate.converged


def test_what_proves_nothing_is_not_converged():
    params, X = some(), np.where(SEEN, IRIS, np.nan)
    X[0, 1] = np.nan
    fifth = np.arange(len(IRIS)) == 5
    for rows in ((X, SEEN, WEIGHT), (IRIS, SEEN, np.where(fifth, -0.1, WEIGHT)),
                 (IRIS, SEEN, np.where(fifth, np.nan, WEIGHT))):  # fmt: skip
        step = incomplete_pca_stream.solve(params, streamed(params, *rows), tolerance=np.inf)
        assert np.isnan(step.certificate.gap)
        assert not step.certificate.converged
    unmasked = incomplete_pca_stream.summarize(params, X)
    assert np.isnan(incomplete_pca_stream.solve(params, unmasked).certificate.gap)
    for noise in (0.0, -0.1):
        flat = stepped(params._replace(noise=np.asarray(noise)))
        assert np.isnan(flat.certificate.gap)


def test_a_model_of_which_rounding_leaves_no_density_leads_nowhere():
    params = some()._replace(noise=np.asarray(4e-16))  # row 4 has one entry, and two directions
    step = stepped(params)
    assert np.isnan(step.certificate.objective)
    assert np.isnan(step.certificate.gap)
    assert all(np.isnan(a).all() for a in step.ahead)


@pytest.mark.parametrize("dtype", [np.float32, float])
def test_rows_in_a_plane_and_equal_rows_never_converge(dtype):
    plane = IRIS[:, :2] @ np.random.default_rng(0).normal(size=(2, 4))
    for X in (plane, np.full_like(IRIS, 0.1)):
        params, steps = some(dtype=dtype), 0
        while not np.isnan((step := stepped(params, X.astype(dtype))).certificate.gap):
            assert not step.certificate.converged
            params, steps = step.ahead, steps + 1
            assert steps < 300
        assert all(np.isfinite(a).all() for a in step.params)


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_units_do_not_matter_in_single_precision(unit):
    start, X = some(dtype=np.float32), IRIS.astype(np.float32)
    scale = np.float32(unit)
    moved = incomplete_pca.Params(
        start.mean * scale, start.loadings * scale, start.noise * scale**2
    )
    near, far = stepped(start, X), stepped(moved, X * scale)
    np.testing.assert_allclose(far.certificate.gap, near.certificate.gap, rtol=1e-4)
    close(far.ahead.mean / scale, near.ahead.mean, rtol=1e-4, atol=1e-5)
    close(far.ahead.loadings / scale, near.ahead.loadings, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(far.ahead.noise / scale**2, near.ahead.noise, rtol=1e-4)
    for _ in range(200):
        step = stepped(moved, X * scale)
        if step.certificate.converged:
            break
        moved = step.ahead
    assert step.certificate.converged
    right = refit(some()).params
    close(step.params.mean / scale, right.mean, rtol=1e-3)
    np.testing.assert_allclose(step.params.noise / scale**2, right.noise, rtol=1e-3)


def test_where_the_origin_lies_does_not_matter_in_single_precision():
    X = (np.round(8 * IRIS) / 8).astype(np.float32)  # so that the shift is exact
    params = some(dtype=np.float32)._replace(mean=np.float32([6, 3, 4, 1]))
    near, far = stepped(params, X), stepped(params._replace(mean=params.mean + 4096), X + 4096)
    np.testing.assert_array_equal(far.ahead.loadings, near.ahead.loadings)
    np.testing.assert_array_equal(far.certificate.gap, near.certificate.gap)
    distant = stepped(params, X + 4096)  # a start that is far from the rows
    assert distant.certificate.gap > 0.5
    then = stepped(distant.ahead, X + 4096).ahead
    np.testing.assert_allclose(then.mean - 4096, near.ahead.mean, atol=0.5)


def test_rounding_of_a_far_start_may_leave_the_null_model_no_variance():
    params = some()
    sums = whole(params, IRIS + 4096)
    M = SEEN * WEIGHT[:, None]
    mean = (M * (IRIS + 4096)).sum(0) / M.sum(0)
    between = (M.sum(0) * (mean - params.mean) ** 2).sum() / params.noise
    least = incomplete_pca_stream.solve(params, sums._replace(size=jnp.asarray(between - 1e-3)))
    assert least.certificate.gap > 0.5


def test_a_row_of_weight_0_has_its_influence():
    """Also where the mean of a column is unknown, which it does not observe."""
    X = np.concatenate([IRIS, np.full((1, 4), 1e6)])
    observed, s = np.concatenate([SEEN, np.ones((1, 4), bool)]), np.append(WEIGHT, 0.0)
    for mean in (3.0, np.nan):
        params = some()._replace(mean=np.array([3.0, mean, 2.0, 1.0]))
        seen = observed & (np.arange(4) != 1)
        slope = jax.grad(lambda s: stepped(params, X, seen, s).certificate.objective)(s)  # noqa: B023
        known = params._replace(mean=np.array([3.0, 0.0, 2.0, 1.0]))
        np.testing.assert_allclose(slope[-1], -incomplete_pca.log_prob(known, X[-1], seen[-1]))


def test_a_step_has_the_derivatives_of_differences_forward_and_reverse():
    params, rng = some(), np.random.default_rng(3)
    along, more = rng.normal(size=IRIS.shape), rng.normal(size=len(IRIS))
    X, s, h = jnp.where(SEEN, IRIS, jnp.nan), jnp.asarray(WEIGHT).at[5].set(0.0), 1e-5

    def numbers(X, s):
        step = incomplete_pca_stream.solve(params, streamed(params, X, SEEN, s))
        every = *step.ahead, step.certificate.objective
        return jax.flatten_util.ravel_pytree(every)[0]

    found = jax.jvp(numbers, (X, s), (jnp.asarray(along), jnp.asarray(more)))[1]
    right = numbers(X + h * along, jnp.where(s == 0, 0, s + h * more))
    right = right - numbers(X - h * along, jnp.where(s == 0, 0, s - h * more))
    still = jax.jvp(lambda s: numbers(X, s), (s,), (jnp.where(s == 0, more, 0.0),))[1]
    np.testing.assert_allclose(found - still, right / (2 * h), rtol=1e-6, atol=1e-6)
    onto = rng.normal(size=len(found))
    back = jax.vjp(numbers, X, s)[1](jnp.asarray(onto))
    np.testing.assert_array_equal(back[0][~SEEN], 0)
    np.testing.assert_allclose((back[0] * along).sum() + back[1] @ more, onto @ found, rtol=1e-9)


def test_planes_that_leave_no_noise_are_refused():
    for k in (0, 4):
        params = some(k)
        with pytest.raises(ValueError, match=f"the loadings must be 1 to 3, below d, got {k}"):
            whole(params)
        with pytest.raises(ValueError, match="the loadings must be 1 to 3"):
            incomplete_pca_stream.solve(params, whole(some()))
