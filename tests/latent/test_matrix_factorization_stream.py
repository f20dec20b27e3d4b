"""Alternating least squares over blocks of entries: eq. (1)–(4), against fits in memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from mlmath.latent import matrix_factorization as mf
from mlmath.latent import matrix_factorization_stream as stream
from tests.test_contract import imprecise, row_collectives

M, N, R = 9, 7, 2


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    u, i = np.nonzero(rng.random((M, N)) < 0.8)
    return u, i, 3 + rng.normal(size=len(u)), rng.uniform(0.5, 2, len(u))


@pytest.fixture(scope="module")
def params():
    rng = np.random.default_rng(1)
    shapes = (M, R), (N, R), (M,), (N,), ()
    return mf.Params(*(jnp.asarray(rng.normal(size=shape)) for shape in shapes))


def streamed(params, u, i, values, s, cuts=(8, 24)):
    blocks = zip(*(np.split(a, cuts) for a in (u, i, values, s)), strict=True)
    sums = [stream.summarize(params, *block, sample_weight=w) for *block, w in blocks]
    total = sums[0]
    for more in sums[1:]:
        total = stream.merge(total, more)
    return total


def close(a, b, rtol=1e-9):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-10), a, b)


def both_halves(params, u, i, values, s, l2):
    step = stream.solve(params, streamed(params, u, i, values, s), l2=l2)
    half = stream.transposed(step.ahead)
    finished = stream.finish(half, streamed(half, i, u, values, s), l2=l2)
    return step, stream.transposed(finished)


def alike(found, right, rtol=1e-9):
    """The same but for signs of factors."""
    products = (a.row_factors @ a.column_factors.T for a in (found, right))
    close(*products, rtol=rtol)
    close(found[2:], right[2:], rtol=rtol)
    close(jnp.abs(found.row_factors), jnp.abs(right.row_factors), rtol=rtol)


def test_the_sums_are_equation_1(data, params):
    u, i, values, s = data
    sums = streamed(params, *data)
    P, Q, b, c, mean = map(np.asarray, params)
    F = np.c_[Q, np.ones(N)]
    A, g, squares = np.zeros((M, R + 1, R + 1)), np.zeros((M, R + 1)), 0.0
    for e in range(len(u)):
        residual = values[e] - (mean + b[u[e]] + c[i[e]] + P[u[e]] @ Q[i[e]])
        A[u[e]] += s[e] * np.outer(F[i[e]], F[i[e]])
        g[u[e]] += s[e] * residual * F[i[e]]
        squares += s[e] * residual**2
    close(sums[:3], (A, g, squares))
    close(sums.values.mean[0], np.average(values, weights=s))


def test_a_step_and_its_gap_are_equations_2_to_4(data, params):
    u, i, values, s = data
    step = stream.solve(params, streamed(params, *data), l2=0.7)
    P, Q, b, c, mean = map(np.asarray, params)
    mean = np.average(values - b[u] - c[i] - np.sum(P[u] * Q[i], axis=1), weights=s)
    z = np.zeros((M, R + 1))
    for j in range(M):
        e = u == j
        F = np.c_[Q[i[e]], np.ones(e.sum())]
        normal = F.T @ np.diag(s[e]) @ F + 0.7 * np.eye(R + 1)
        z[j] = np.linalg.solve(normal, F.T @ (s[e] * (values[e] - mean - c[i[e]])))
    close(step.ahead.mean, mean)
    close(step.ahead.row_biases, z[:, -1])
    close(step.ahead.row_factors @ step.ahead.column_factors.T, z[:, :-1] @ Q.T)
    reached = params._replace(
        mean=mean, row_factors=jnp.asarray(z[:, :-1]), row_biases=jnp.asarray(z[:, -1])
    )
    values_of = [mf.objective(p, u, i, values, l2=0.7, sample_weight=s) for p in (params, reached)]
    null = s @ (values - np.average(values, weights=s)) ** 2 / 2
    np.testing.assert_allclose(step.certificate.objective, values_of[0], rtol=1e-12)
    gap = (values_of[0] - values_of[1]) / null  # (4)
    np.testing.assert_allclose(step.certificate.gap, gap, rtol=1e-10)
    close(step.params, params)
    balanced = mf.objective(step.ahead, u, i, values, l2=0.7, sample_weight=s)
    assert balanced <= values_of[1]


@pytest.mark.parametrize("l2", [0.7, 1e-3])
def test_two_passes_are_a_sweep_of_the_fit(l2, data, params):
    u, i, values, s = data
    step, then = both_halves(params, *data, l2)
    one = mf.fit(params, u, i, values, l2=l2, sample_weight=s, max_steps=1)
    alike(then, one.params)
    before = mf.fit(params, u, i, values, l2=l2, sample_weight=s, max_steps=0).certificate
    np.testing.assert_allclose(step.certificate.gap, before.gap, rtol=1e-9)
    np.testing.assert_allclose(step.certificate.objective, before.objective, rtol=1e-12)


def test_a_stream_ends_where_the_fit_does_and_no_pass_raises_the_objective(data, params):
    u, i, values, s = data
    now, steps, last = params, 0, np.inf
    while True:
        step, then = both_halves(now, *data, 0.7)
        assert step.certificate.objective <= last * (1 + 1e-14)
        half = mf.objective(step.ahead, u, i, values, l2=0.7, sample_weight=s)
        assert half <= step.certificate.objective * (1 + 1e-14)
        if step.certificate.converged:
            break
        now, steps, last = then, steps + 1, half
    fitted = mf.fit(params, u, i, values, l2=0.7, sample_weight=s)
    assert abs(steps - fitted.certificate.steps) <= 1
    alike(now, fitted.params, rtol=1e-5)
    gradient = jax.grad(lambda p: mf.objective(p, u, i, values, l2=0.7, sample_weight=s))(now)
    assert max(float(jnp.abs(a).max()) for a in gradient) < 1e-5


def test_a_weight_is_as_many_entries_and_0_is_none(data, params):
    u, i, values, _ = data
    ones = np.ones(len(u))
    doubled = [np.concatenate([a, a[:9]]) for a in (u, i, values, ones)]
    weights = np.where(np.arange(len(u)) < 9, 2.0, 1.0)
    close(streamed(params, u, i, values, weights), streamed(params, *doubled))
    whole = streamed(params, u, i, values, ones)
    for places, value in ((0, np.nan), (99, 1.0), (-1, np.inf), (0, 1e200)):
        more = zip((u, i, values, ones), (places, places, value, 0), strict=True)
        spoilt = [np.append(a, np.full(3, x)) for a, x in more]
        close(streamed(params, *spoilt), whole)
        close(streamed(params, *spoilt, cuts=(8, len(u))), whole)  # a block of nothing


@pytest.mark.parametrize(
    "spoil",
    [
        lambda u, i, v, s: (u, i, v, np.where(u == 3, -1e-3, s)),
        lambda u, i, v, s: (u, i, np.where(u == 3, np.nan, v), s),
        lambda u, i, v, s: (np.where(u == 3, M, u), i, v, s),
        lambda u, i, v, s: (u, np.where(u == 3, -1, i), v, s),
        lambda u, i, v, s: (u, i, v, 0 * s),
    ],
)
def test_what_proves_nothing_is_not_converged(spoil, data, params):
    certificate = stream.solve(params, streamed(params, *spoil(*data))).certificate
    assert jnp.isnan(certificate.gap)
    assert not certificate.converged


def test_a_negative_penalty_proves_nothing(data, params):
    assert jnp.isnan(stream.solve(params, streamed(params, *data), l2=-1e-3).certificate.gap)


def test_too_few_entries_without_a_penalty_prove_nothing(data, params):
    u, i, values, s = data
    alone = (u != 2) | (i == i[u == 2][0])
    sums = streamed(params, u[alone], i[alone], values[alone], s[alone])
    assert jnp.isnan(stream.solve(params, sums, l2=0.0).certificate.gap)


def test_a_row_without_entries_has_no_factors(data, params):
    u, i, values, s = data
    _, then = both_halves(params, u, i, values, np.where(u == 2, 0, s), 0.7)
    np.testing.assert_allclose(then.row_factors[2], 0, atol=1e-15)
    np.testing.assert_allclose(then.row_biases[2], 0, atol=1e-15)


def test_far_from_0_float32_keeps_the_certificate(data, params):
    u, i, values, s = (np.asarray(a, np.float32) if a.dtype == float else a for a in data)
    values = np.round(64 * values) / 64  # so that the shift is exact
    start = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), params)
    first = stream.solve(start, streamed(start, u, i, values + 4096, s))
    null = s.astype(float) @ (values - np.average(values, weights=s)) ** 2 / 2
    huge = mf.fit(params, u, i, values + 4096.0, sample_weight=s, max_steps=0).certificate
    np.testing.assert_allclose(first.certificate.gap, huge.gap, rtol=1e-3)
    np.testing.assert_allclose(streamed(start, u, i, values + 4096, s).values.scatter / 2,
                               [[null]], rtol=1e-4)  # fmt: skip
    now = start
    for _ in range(40):
        step, now = both_halves(now, u, i, values + 4096, s, 0.7)
    assert step.certificate.gap < 1e-3
    right = mf.fit(params, u, i, values.astype(float), l2=0.7, sample_weight=s, max_steps=40)
    objective = right.certificate.objective
    np.testing.assert_allclose(step.certificate.objective, objective, rtol=1e-2)


def test_steps_have_the_derivatives_of_differences(data, params):
    u, i, values, s = data
    rng = np.random.default_rng(3)
    dv, ds = rng.normal(size=len(u)), np.where(rng.random(len(u)) < 0.5, s, 0)

    def swept(t):
        r, w = values + t * dv, s + t * ds
        step = stream.solve(params, stream.summarize(params, u, i, r, sample_weight=w), l2=0.7)
        half = stream.transposed(step.ahead)
        then = stream.finish(half, stream.summarize(half, i, u, r, sample_weight=w), l2=0.7)
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
        return jnp.sum(step.ahead.row_factors @ step.ahead.column_factors.T) + step.ahead.mean

    h = 1e-6
    slope = (-3 * gained(0.0) + 4 * gained(h) - gained(2 * h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(gained)(0.0), slope, rtol=1e-6)


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
