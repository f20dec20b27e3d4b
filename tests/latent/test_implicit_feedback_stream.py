"""Sweeps from implicit feedback over blocks of entries: eq. (1)–(3), against fits in memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from mlmath.latent import implicit_feedback as mf
from mlmath.latent import implicit_feedback_stream as stream
from tests.test_contract import imprecise, row_collectives

M, N, R, ALPHA, L2 = 9, 7, 2, 3.0, 0.7


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    u, i = np.nonzero(rng.random((M, N)) < 0.5)
    values = rng.uniform(0.5, 2, len(u))
    values[::7] = 0  # seen, but not liked
    return u, i, values, rng.uniform(0.5, 2, len(u))


@pytest.fixture(scope="module")
def params():
    rng = np.random.default_rng(1)
    return mf.Params(*(jnp.asarray(rng.normal(size=(k, R))) for k in (M, N)))


def streamed(params, u, i, values, s, cuts=(8, 17), confidence=ALPHA):
    blocks = zip(*(np.split(a, cuts) for a in (u, i, values, s)), strict=True)
    sums = [
        stream.summarize(params, *block, sample_weight=w, confidence=confidence)
        for *block, w in blocks
    ]
    total = sums[0]
    for more in sums[1:]:
        total = stream.merge(total, more)
    return total


def close(a, b, rtol=1e-9):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-10), a, b)


def both_halves(params, u, i, values, s, l2=L2):
    step = stream.solve(params, streamed(params, u, i, values, s), l2=l2)
    half = stream.transposed(step.ahead)
    finished = stream.finish(half, streamed(half, i, u, values, s), l2=l2)
    return step, stream.transposed(finished)


def alike(found, right, rtol=1e-9):
    """The same but for signs of factors."""
    products = (a.row_factors @ a.column_factors.T for a in (found, right))
    close(*products, rtol=rtol)
    close(jnp.abs(found.row_factors), jnp.abs(right.row_factors), rtol=rtol)


def objective(params, u, i, values, s):
    return mf.objective(params, u, i, values, confidence=ALPHA, l2=L2, sample_weight=s)


def test_the_sums_are_equations_1_and_2(data, params):
    u, i, values, s = data
    sums = streamed(params, *data)
    X, Y = map(np.asarray, params)
    A, g, squares, null = np.zeros((M, R, R)), np.zeros((M, R)), 0.0, 0.0
    for e in range(len(u)):
        wanted, p, y = float(values[e] > 0), X[u[e]] @ Y[i[e]], Y[i[e]]
        sure = 1 + ALPHA * values[e]
        A[u[e]] += s[e] * ALPHA * values[e] * np.outer(y, y)
        g[u[e]] += s[e] * (sure * wanted - ALPHA * values[e] * p) * y
        squares += s[e] * (sure * (wanted - p) ** 2 - p**2)
        null += s[e] * sure * wanted
    close(tuple(sums), (A, g, squares, null, s.sum()))


def test_a_step_and_its_gap_are_equation_3_over_all_pairs(data, params):
    """With the whole matrix of confidences in naive NumPy, of weights 1."""
    u, i, values, _ = data
    s = np.ones(len(u))
    X, Y = map(np.asarray, params)
    C, wanted = np.ones((M, N)), np.zeros((M, N))
    C[u, i] += ALPHA * values
    wanted[u, i] = values > 0
    best = np.zeros((M, R))
    for j in range(M):
        weighted = Y.T * C[j]
        best[j] = np.linalg.solve(weighted @ Y + L2 * np.eye(R), weighted @ wanted[j])

    def value(X, Y):
        return (C * (wanted - X @ Y.T) ** 2).sum() / 2 + L2 / 2 * ((X**2).sum() + (Y**2).sum())

    step = stream.solve(params, streamed(params, u, i, values, s), l2=L2)
    close(step.ahead.row_factors @ step.ahead.column_factors.T, best @ Y.T)
    np.testing.assert_allclose(step.certificate.objective, value(X, Y), rtol=1e-12)
    gap = (value(X, Y) - value(best, Y)) / ((C * wanted).sum() / 2)
    np.testing.assert_allclose(step.certificate.gap, gap, rtol=1e-10)
    assert value(*step.ahead) <= value(best, Y)
    close(step.params, params)


@pytest.mark.parametrize("l2", [L2, 1e-3])
def test_two_passes_are_a_sweep_of_the_fit(l2, data, params):
    u, i, values, s = data
    given = {"confidence": ALPHA, "l2": l2, "sample_weight": s}
    step, then = both_halves(params, *data, l2)
    alike(then, mf.fit(params, u, i, values, max_steps=1, **given).params)
    before = mf.fit(params, u, i, values, max_steps=0, **given).certificate
    np.testing.assert_allclose(step.certificate.gap, before.gap, rtol=1e-9)
    np.testing.assert_allclose(step.certificate.objective, before.objective, rtol=1e-12)


def test_a_stream_ends_where_the_fit_does_and_no_pass_raises_the_objective(data, params):
    u, i, values, s = data
    now, steps, last = params, 0, np.inf
    while True:
        step, then = both_halves(now, *data)
        assert step.certificate.objective <= last * (1 + 1e-14)
        half = objective(step.ahead, *data)
        assert half <= step.certificate.objective * (1 + 1e-14)
        if step.certificate.converged:
            break
        now, steps, last = then, steps + 1, half
    fitted = mf.fit(params, u, i, values, confidence=ALPHA, l2=L2, sample_weight=s)
    assert abs(steps - fitted.certificate.steps) <= 1
    alike(now, fitted.params, rtol=1e-5)


def test_a_weight_is_as_many_entries_and_0_is_none(data, params):
    u, i, values, _ = data
    ones = np.ones(len(u))
    doubled = [np.concatenate([a, a[:9]]) for a in (u, i, values, ones)]
    weights = np.where(np.arange(len(u)) < 9, 2.0, 1.0)
    close(streamed(params, u, i, values, weights), streamed(params, *doubled))
    whole = streamed(params, u, i, values, ones)
    for places, value in ((0, np.nan), (99, 1.0), (-1, np.inf), (0, 1e308), (0, -1.0)):
        more = zip((u, i, values, ones), (places, places, value, 0), strict=True)
        spoilt = [np.append(a, np.full(3, x)) for a, x in more]
        close(streamed(params, *spoilt), whole)
        close(streamed(params, *spoilt, cuts=(8, len(u))), whole)  # a block of nothing


@pytest.mark.parametrize(
    "spoil",
    [
        lambda u, i, v, s: (u, i, v, np.where(u == 3, -1e-3, s)),
        lambda u, i, v, s: (u, i, np.where(u == 3, np.nan, v), s),
        lambda u, i, v, s: (u, i, np.where(u == 3, -1.0, v), s),
        lambda u, i, v, s: (np.where(u == 3, M, u), i, v, s),
        lambda u, i, v, s: (u, np.where(u == 3, -1, i), v, s),
        lambda u, i, v, s: (u, i, v, 0 * s),
    ],
)
def test_what_proves_nothing_is_not_converged(spoil, data, params):
    certificate = stream.solve(params, streamed(params, *spoil(*data))).certificate
    assert jnp.isnan(certificate.gap)
    assert not certificate.converged


def test_a_negative_penalty_or_confidence_proves_nothing(data, params):
    assert jnp.isnan(stream.solve(params, streamed(params, *data), l2=-1e-3).certificate.gap)
    sums = streamed(params, *data, confidence=-1e-3)
    assert jnp.isnan(stream.solve(params, sums).certificate.gap)


def test_where_the_other_side_is_singular_and_no_penalty_nothing_is_proved(data, params):
    flat = params._replace(column_factors=params.column_factors.at[:, 1].set(0))
    step = stream.solve(flat, streamed(flat, *data), l2=0.0)
    assert jnp.isnan(step.certificate.gap)


def test_steps_have_the_derivatives_of_differences(data, params):
    u, i, values, s = data
    rng = np.random.default_rng(3)
    dv = rng.normal(size=len(u)) * (values > 0)
    ds = np.where(rng.random(len(u)) < 0.5, s, 0)

    def swept(t):
        r, given = values + t * dv, {"sample_weight": s + t * ds, "confidence": ALPHA + t}
        step = stream.solve(params, stream.summarize(params, u, i, r, **given), l2=L2)
        half = stream.transposed(step.ahead)
        then = stream.finish(half, stream.summarize(half, i, u, r, **given), l2=L2)
        parts = step.certificate.objective, step.ahead, then
        return jax.flatten_util.ravel_pytree(parts)[0]

    forward = jax.jvp(swept, (0.0,), (1.0,))[1]
    h = 1e-6
    np.testing.assert_allclose(forward, (swept(h) - swept(-h)) / (2 * h), rtol=1e-5, atol=1e-6)
    along = rng.normal(size=len(forward))
    backward = jax.grad(lambda t: along @ swept(t))(0.0)
    np.testing.assert_allclose(backward, along @ np.asarray(forward), rtol=1e-9)


def test_the_influence_of_an_entry_of_weight_0_is_right(data, params):
    u, i, values, s = data
    s = s.copy()
    s[-5:] = 0  # the whole of the last block

    def gained(t):
        weights = s + t * (np.arange(len(s)) == len(s) - 3)
        sums = [
            stream.summarize(params, u[b], i[b], values[b], sample_weight=weights[b])
            for b in (slice(0, 8), slice(8, -5), slice(-5, None))
        ]
        step = stream.solve(params, stream.merge(stream.merge(*sums[:2]), sums[2]))
        return jnp.sum(step.ahead.row_factors @ step.ahead.column_factors.T)

    h = 1e-6
    slope = (-3 * gained(0.0) + 4 * gained(h) - gained(2 * h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(gained)(0.0), slope, rtol=1e-6)


def test_single_precision_keeps_the_certificate(data, params):
    u, i, values, s = (np.asarray(a, np.float32) if a.dtype == float else a for a in data)
    single = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), params)
    found = stream.solve(single, streamed(single, u, i, values, s), l2=L2)
    right = stream.solve(params, streamed(params, *data), l2=L2)
    np.testing.assert_allclose(found.certificate.gap, right.certificate.gap, rtol=1e-5)
    now = single
    for _ in range(60):
        step, now = both_halves(now, u, i, values, s)
    assert step.certificate.converged
    assert step.ahead.row_factors.dtype == jnp.float32


def test_sharded_entries_give_the_same_sums_without_moving(params):
    rng = np.random.default_rng(5)
    e = 8 * 41  # no other dimension is a multiple of 41
    block = rng.integers(0, M, e), rng.integers(0, N, e), rng.random(e), rng.random(e)
    mesh = jax.make_mesh((8,), ("entries",), axis_types=(AxisType.Auto,))
    over, whole = (NamedSharding(mesh, PartitionSpec(*p)) for p in (("entries",), ()))
    spread = jax.device_put(params, whole), *jax.device_put(block, over)

    def sums(params, u, i, values, s):
        return stream.summarize(params, u, i, values, sample_weight=s)

    program = jax.jit(sums).lower(*spread).compile()
    assert row_collectives(program.as_text()) == []
    close(program(*spread), sums(params, *block))
    assert imprecise(jax.make_jaxpr(sums)(params, *block))[1] == []
