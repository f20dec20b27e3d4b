"""Steps of non-negative factorisation over blocks of rows: eq. (1)–(3), against fits in memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy.optimize import nnls

from mlmath.latent import nmf, nmf_stream
from tests.test_contract import imprecise, row_collectives

RNG = np.random.default_rng(0)
PARTS = RNG.random((3, 6)) * (RNG.random((3, 6)) < 0.6)
X = RNG.gamma(1.0, size=(40, 3)) @ PARTS + 0.3 * RNG.random((40, 6))
S = RNG.uniform(0.5, 2, 40)
START = nmf.Params(jnp.asarray(X[:3] + 0.1))
# no row has anything along the last component
SPARSE = np.concatenate([X[:, :5], np.zeros((40, 1))], axis=1)
UNUSED = nmf.Params(jnp.asarray(np.stack([*(SPARSE[:2] + 0.1 * (np.arange(6) < 5)), np.eye(6)[5]])))


def streamed(params, X, s, cuts=(8, 25)):
    blocks = zip(np.split(X, cuts), np.split(s, cuts), strict=True)
    sums = [nmf_stream.summarize(params, x, sample_weight=w) for x, w in blocks]
    total = sums[0]
    for more in sums[1:]:
        total = nmf_stream.merge(total, more)
    return total


def close(a, b, rtol=1e-9, atol=1e-12):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), a, b)


def test_the_sums_are_equations_1_and_2():
    H = np.asarray(START.components)
    H = H / np.linalg.norm(H, axis=1, keepdims=True)
    W = np.array([nnls(H.T, x)[0] for x in X])
    sums = streamed(START, X, S)
    row, weight = (float(a) for a in sums.units)
    unit = row**2 * weight
    assert row == 2.0 ** np.ceil(np.log2(X.max()))
    close(sums.A * unit, (S[:, None] * W).T @ W, atol=1e-9)
    close(sums.B * unit, (S[:, None] * W).T @ X, atol=1e-9)
    close(sums.missed * unit, S @ ((X - W @ H) ** 2).sum(1) / 2)
    close(sums.null * unit, S @ (X**2).sum(1) / 2)
    close(sums.weight * weight, S.sum())
    assert sums.lacking == 0
    squares = (np.maximum(X - W @ H, 0) ** 2).sum(1)
    f = squares.argmax()
    worst = sums.worst
    found = worst.row * row, worst.codes * row, worst.weight * weight, worst.square * row**2
    close(found, (X[f], W[f], S[f], squares[f]))


def test_a_step_and_its_certificate_are_those_of_the_fit():
    step = nmf_stream.solve(START, streamed(START, X, S))
    H = START.components
    close(step.ahead, nmf.fit(H, X, sample_weight=S, max_steps=1).params)
    before = nmf.fit(H, X, sample_weight=S, max_steps=0)
    np.testing.assert_allclose(step.certificate.gap, before.certificate.gap, rtol=1e-9)
    objective = nmf.objective(START, X, sample_weight=S)
    np.testing.assert_allclose(step.certificate.objective, objective, rtol=1e-12)
    close(step.params, before.params)


def test_a_stream_ends_where_the_fit_does_and_gains_what_it_says():
    params, steps, last = START, 0, np.inf
    null = S @ np.sum(X**2, axis=1) / 2
    while not (step := nmf_stream.solve(params, streamed(params, X, S))).certificate.converged:
        assert step.certificate.objective <= last
        last = step.certificate.objective - 0.999 * step.certificate.gap * null + 1e-13
        params, steps = step.ahead, steps + 1
    fitted = nmf.fit(START.components, X, sample_weight=S)
    assert abs(steps - fitted.certificate.steps) <= 1
    close(params, fitted.params, rtol=1e-6, atol=1e-8)


def test_an_unused_component_goes_where_the_worst_row_misses_most():
    """Equation (3), with the sweeps and the sum over all rows in naive NumPy."""
    sums = streamed(UNUSED, SPARSE, S)
    assert sums.A[2, 2] == 0
    step = nmf_stream.solve(UNUSED, sums)
    H = np.asarray(UNUSED.components)
    H = H / np.linalg.norm(H, axis=1, keepdims=True)
    W = np.array([nnls(H.T, x)[0] for x in SPARSE])
    A, B = (S[:, None] * W).T @ W, (S[:, None] * W).T @ SPARSE
    for _ in range(4):
        for j in range(2):
            H[j] = np.maximum(H[j] + (B - A @ H)[j] / A[j, j], 0)
    before = np.asarray(UNUSED.components)
    before = before / np.linalg.norm(before, axis=1, keepdims=True)
    f = (np.maximum(SPARSE - W @ before, 0) ** 2).sum(1).argmax()
    apart = np.maximum(SPARSE[f] - W[f] @ H, 0)
    close(step.ahead.components[2], apart / np.linalg.norm(apart))
    close(step.ahead.components[:2], H[:2] / np.linalg.norm(H[:2], axis=1, keepdims=True))
    null = S @ np.sum(SPARSE**2, axis=1) / 2
    held = nmf_stream.solve(UNUSED, sums._replace(worst=sums.worst._replace(weight=jnp.zeros(()))))
    share = S[f] * apart @ apart / 2 / null
    np.testing.assert_allclose(step.certificate.gap, held.certificate.gap + share, rtol=1e-9)
    before = nmf.fit(UNUSED.components, SPARSE, sample_weight=S, max_steps=0).certificate
    assert held.certificate.gap < step.certificate.gap <= before.gap
    after = nmf.objective(step.ahead, SPARSE, sample_weight=S)
    assert step.certificate.objective - after >= step.certificate.gap * null
    np.testing.assert_array_equal(held.ahead.components[2], UNUSED.components[2])


def test_what_codes_lack_counts_and_rounding_does_not():
    sums = streamed(START, X, S)
    gap = nmf_stream.solve(START, sums).certificate.gap
    found = nmf_stream.solve(START, sums._replace(lacking=0.01 * sums.null)).certificate.gap
    np.testing.assert_allclose(found, gap + 0.01, rtol=1e-10)
    H = nmf_stream.solve(START, sums).params.components
    assert nmf_stream.solve(START, sums._replace(B=(1 + 1e-15) * sums.A @ H)).certificate.gap == 0


def test_a_stream_that_begins_with_an_unused_component_uses_it():
    params = UNUSED
    for _ in range(200):
        step = nmf_stream.solve(params, streamed(params, SPARSE, S), tolerance=1e-11)
        params = step.ahead
    assert step.certificate.converged
    assert (jnp.diag(streamed(params, SPARSE, S).A) > 0).all()
    again = nmf.fit(params.components, SPARSE, sample_weight=S)
    np.testing.assert_allclose(step.certificate.objective, again.certificate.objective, rtol=1e-6)


@pytest.mark.parametrize("cuts", [(8, 25), (3,), (40,)])
@pytest.mark.parametrize(("params", "rows"), [(START, X), (UNUSED, SPARSE)])
def test_a_weight_is_as_many_rows_and_0_is_none(cuts, params, rows):
    whole = nmf_stream.solve(params, streamed(params, rows, np.where(S > 1.2, 2.0, 1.0), (17,)))
    many = np.concatenate([rows, rows[S > 1.2]])
    close(nmf_stream.solve(params, streamed(params, many, np.ones(len(many)), cuts)), whole)
    spoilt = np.concatenate([many, [[np.nan] * 6, [-1.0] * 6, [1e200] * 6, [np.inf] * 6]])
    s = np.append(np.ones(len(many)), np.zeros(4))
    close(nmf_stream.solve(params, streamed(params, spoilt, s, cuts)), whole)
    apart = streamed(params, spoilt, s, (5, len(many)))  # a block of nothing
    close(nmf_stream.solve(params, apart), whole)


def test_how_rows_are_parted_and_in_which_order_does_not_show():
    right = streamed(START, X, S, cuts=())
    close(streamed(START, X, S), right)
    close(streamed(START, X[::-1], S[::-1], cuts=(1, 2, 30)), right)
    powers = 2.0 ** np.sqrt(np.arange(40))  # each block in units of its own
    rows, s = X * powers[:, None], S / powers
    close(streamed(START, rows, s), streamed(START, rows, s, cuts=()))
    rows = np.concatenate([X, 99 * START.components[:1]])  # large, and nothing of it is missed
    parted, whole = (streamed(START, rows, np.append(S, 9), cuts) for cuts in ((8, 40), ()))
    close(parted, whole)
    assert (parted.worst.row < 0.1).all()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda X, s: (np.where(X[3, 2] == X, np.nan, X), s),
        lambda X, s: (np.where(X[3, 2] == X, -1e-3, X), s),
        lambda X, s: (X, np.where(np.arange(40) == 3, -1e-3, s)),
        lambda X, s: (X, np.where(np.arange(40) == 3, np.nan, s)),
        lambda X, s: (X, 0 * s),
    ],
)
@pytest.mark.parametrize("params", [START, UNUSED])
def test_what_proves_nothing_is_not_converged(spoil, params):
    certificate = nmf_stream.solve(params, streamed(params, *spoil(X, S))).certificate
    assert jnp.isnan(certificate.gap)
    assert not certificate.converged


def test_negative_components_and_too_many_are_told():
    bad = nmf.Params(-START.components)
    assert jnp.isnan(nmf_stream.solve(bad, streamed(bad, X, S)).certificate.gap)
    with pytest.raises(ValueError, match="k must be from 1 to d = 2, got 3"):
        nmf_stream.summarize(nmf.Params(jnp.ones((3, 2))), X[:, :2])


@pytest.mark.parametrize(("x", "s"), [(1e15, 1e-6), (1e-15, 1.0), (1e-18, 1e-18), (1e18, 1.0)])
def test_single_precision_does_not_depend_on_the_units(x, s):
    X32, S32, H = (np.asarray(a, np.float32) for a in (X, S, START.components))
    x, s = (np.float32(2.0 ** np.round(np.log2(a))) for a in (x, s))
    params = nmf.Params(jnp.asarray(H))
    right = nmf_stream.solve(params, streamed(params, X32, S32))
    sums = streamed(params, x * X32, s * S32)
    nothing = nmf_stream.summarize(params, X32, sample_weight=0 * S32)  # has no say in the units
    sums = nmf_stream.merge(nmf_stream.merge(nothing, sums), nothing)
    found = nmf_stream.solve(params, sums)
    close(found.ahead, right.ahead, rtol=0, atol=0)
    assert found.certificate.gap == right.certificate.gap
    np.testing.assert_array_equal(
        found.certificate.objective, right.certificate.objective * x * s * x
    )


def test_blocks_of_other_units_keep_their_digits():
    scale = np.repeat([1e-12, 1.0, 1e6], [8, 17, 15]).astype(np.float32)
    X32 = (scale[:, None] * X).astype(np.float32)
    ones = np.ones(40, np.float32)
    params = nmf.Params(jnp.asarray(START.components, jnp.float32))
    close(streamed(params, X32, ones), streamed(params, X32, ones, cuts=()), rtol=1e-5, atol=1e-7)
    weights = (scale**-1).astype(np.float32)
    parted, whole = (streamed(params, X32, weights, cuts) for cuts in ((8, 25), ()))
    close(parted[:3], whole[:3], rtol=1e-5, atol=1e-7)


def test_steps_have_the_derivatives_of_differences():
    rng = np.random.default_rng(3)
    dX, ds = rng.normal(size=X.shape) * (X > 0.05), np.where(rng.random(40) < 0.5, S, 0)
    for params, rows in ((START, X), (UNUSED, SPARSE)):

        def stepped(t, params=params, rows=rows):
            moved, s = rows + t * dX * (rows > 0), S + t * ds
            parts = (slice(0, 8), slice(8, 25), slice(25, 40))
            sums = [nmf_stream.summarize(params, moved[b], sample_weight=s[b]) for b in parts]
            sums = nmf_stream.merge(nmf_stream.merge(*sums[:2]), sums[2])
            step = nmf_stream.solve(params, sums)
            return jax.flatten_util.ravel_pytree((step.certificate.objective, step.ahead))[0]

        forward = jax.jvp(stepped, (0.0,), (1.0,))[1]
        h = 1e-6
        right = (stepped(h) - stepped(-h)) / (2 * h)
        np.testing.assert_allclose(forward, right, rtol=1e-5, atol=1e-6)
        along = rng.normal(size=len(forward))
        backward = jax.grad(lambda t, f=stepped, a=along: a @ f(t))(0.0)
        np.testing.assert_allclose(backward, along @ np.asarray(forward), rtol=1e-8)


def test_the_influence_of_a_row_of_weight_0_is_right():
    base = np.append(S[:35], np.zeros(5))

    def stepped(t):
        weights = base + t * (np.arange(40) == 37)
        parts = (slice(0, 8), slice(8, 35), slice(35, 40))  # the last has no weight
        sums = [nmf_stream.summarize(START, X[b], sample_weight=weights[b]) for b in parts]
        step = nmf_stream.solve(START, nmf_stream.merge(nmf_stream.merge(*sums[:2]), sums[2]))
        return jnp.sum(step.ahead.components * (X[:3] ** 2)) + step.certificate.objective

    h = 1e-6
    right = (-3 * stepped(0.0) + 4 * stepped(h) - stepped(2 * h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(stepped)(0.0), right, rtol=1e-6)


def test_sharded_rows_give_the_same_sums_without_moving():
    many, s = np.tile(X, (9, 1))[: 8 * 41], np.random.default_rng(5).random(8 * 41)
    many = many * s[:, None]
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
    over, whole = (NamedSharding(mesh, PartitionSpec(*p)) for p in (("rows",), ()))
    spread = jax.device_put(START, whole), *jax.device_put((many, s), over)

    def sums(params, X, s):
        return nmf_stream.summarize(params, X, sample_weight=s)

    program = jax.jit(sums).lower(*spread).compile()
    assert row_collectives(program.as_text()) == []
    close(program(*spread), sums(START, many, s))
    assert imprecise(jax.make_jaxpr(sums)(START, many, s))[1] == []
