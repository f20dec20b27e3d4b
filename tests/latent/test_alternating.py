"""Alternating least squares: eq. (1)–(4), and what both fits to the entries of a matrix promise."""

import re
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from mlmath import rows as batch
from mlmath.latent import alternating, implicit_feedback, matrix_factorization
from tests.factorisations import side_by_side
from tests.test_contract import equations, flat, row_collectives, slope

RNG = np.random.default_rng(0)
M, N, E = 12, 9, 8 * 41  # no other dimension is a multiple of 41


def test_normal_equations_are_equation_1():
    u, i = RNG.integers(0, 5, 40), RNG.integers(0, 6, 40)
    a, beta, f = RNG.random(40), RNG.normal(size=40), RNG.normal(size=(6, 3))
    A, h = np.zeros((5, 3, 3)), np.zeros((5, 3))
    for e in range(40):
        A[u[e]] += a[e] * np.outer(f[i[e]], f[i[e]])
        h[u[e]] += beta[e] * f[i[e]]
    found = alternating.normal_equations(u, i, a, beta, f, 5)
    np.testing.assert_allclose(found[0], A, atol=1e-13)
    np.testing.assert_allclose(found[1], h, atol=1e-13)


def test_blocks_of_entries_do_not_show(monkeypatch):
    u, i = RNG.integers(0, 5, 403), RNG.integers(0, 6, 403)
    a, beta, f = RNG.random(403), RNG.normal(size=403), RNG.normal(size=(6, 3))
    whole = alternating.normal_equations(u, i, a, beta, f, 5)
    monkeypatch.setattr(alternating, "_BLOCK", 6 * 50)
    for x, y in zip(whole, alternating.normal_equations(u, i, a, beta, f, 5), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-12)


def test_solutions_and_gains_are_equations_2_and_3():
    roots = RNG.normal(size=(4, 3, 5))
    A, h, z = roots @ roots.swapaxes(1, 2), RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))
    best, gain = alternating.solve(A, h, z)
    np.testing.assert_allclose(best, [np.linalg.solve(*pair) for pair in zip(A, h, strict=True)])

    def value(z):
        return sum(z[u] @ A[u] @ z[u] / 2 - h[u] @ z[u] for u in range(4))

    np.testing.assert_allclose(gain, value(z) - value(np.asarray(best)), rtol=1e-10)


def test_balanced_factors_are_equation_4():
    P, Q = RNG.normal(size=(7, 3)) * [1, 10, 100], RNG.normal(size=(6, 3))
    U, sigma, _ = np.linalg.svd(P @ Q.T)
    found, other = map(np.asarray, alternating.balanced(P, Q))
    right = (U[:, :3] * np.sqrt(sigma[:3]))[:, ::-1]
    np.testing.assert_allclose(np.abs(found), np.abs(right), atol=1e-9)
    np.testing.assert_allclose(found @ other.T, P @ Q.T, atol=1e-9)
    np.testing.assert_allclose(np.sum(found**2) + np.sum(other**2), 2 * sigma[:3].sum())


def test_dependent_columns_are_left_as_they_are():
    P = RNG.normal(size=(7, 2)) @ RNG.normal(size=(2, 3))
    Q = RNG.normal(size=(6, 3))
    for found, given in zip(alternating.balanced(P, Q), (P, Q), strict=True):
        np.testing.assert_array_equal(found, given)


def test_what_the_other_side_has_nothing_of_is_zero_on_both():
    P, Q = RNG.normal(size=(7, 2)), np.zeros((6, 2))
    for found in alternating.balanced(P, Q):
        np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("factor", [1e200, np.nan])
def test_a_sweep_that_leaves_the_finite_numbers_is_not_taken(factor):
    def propose(x):
        return factor * x, jnp.asarray(1.0)

    def finish(half):
        return 1e150 * half

    start = jnp.asarray(1.0)
    found = alternating.minimize(propose, finish, start, 1.0, 0.0, 9)
    assert (found.params, found.steps) == (1, 0)
    assert np.isnan(found.gain)


class Case(NamedTuple):
    """A fit under examination."""

    module: ModuleType
    numbers: dict[str, Any]

    def fit(self, given, **more):
        return self.module.fit(**given, **more)

    def exact(self, given):
        return self.fit(given, tolerance=1e-24, max_steps=3000)

    def objective(self, params, given):
        return self.module.objective(params, **{k: v for k, v in given.items() if k != "params"})

    def null(self, given):
        null = jax.tree.map(jnp.zeros_like, given["params"])
        if self.module is matrix_factorization:
            mean = np.average(given["values"], weights=given["sample_weight"])
            null = null._replace(mean=jnp.asarray(mean))
        return float(self.objective(null, given))

    def probe(self, params, u, i):
        """A smooth function of predictions, on which no rotation of the factors shows."""
        return jnp.sum(jnp.sin(batch(self.module.predict)(params, u, i) + jnp.arange(len(u))))


CASES = {
    "explicit": Case(matrix_factorization, {"l2": 1.1}),
    "implicit": Case(implicit_feedback, {"l2": 0.8, "confidence": 2.0}),
}
every = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
ENTRIES = ("rows", "columns", "values", "sample_weight")


def inputs(case, dtype=np.float64, entries=70):
    rng = np.random.default_rng(1)
    matrix = 3 + 2 * rng.normal(size=(M, 2)) @ rng.normal(size=(2, N))
    place = rng.permutation(M * N)[:entries] if entries < M * N else rng.integers(0, M * N, entries)
    u, i = place // N, place % N
    values = matrix[u, i] + 0.1 * rng.normal(size=entries)
    values = np.maximum(values, 0.1) if case.module is implicit_feedback else values
    given = {
        "values": values, "sample_weight": rng.uniform(0.5, 1.5, entries), **case.numbers,
    }  # fmt: skip
    given = {k: np.asarray(v, dtype) for k, v in given.items()}
    start = case.module.init(jax.random.key(0), (M, N), rank=2)
    return {"params": start, "rows": u, "columns": i, **given}


def predictions(case, params):
    u, i = np.divmod(np.arange(M * N), N)
    return np.asarray(batch(case.module.predict)(params, u, i))


def picked(given, where):
    return {k: v[where] if k in ENTRIES else v for k, v in given.items()}


@every
def test_a_converged_fit_is_stationary_and_in_balance(case):
    given = inputs(case)
    params = case.exact(given).params
    size = max(np.abs(flat(jax.grad(case.objective)(given["params"], given))))
    assert max(np.abs(flat(jax.grad(case.objective)(params, given)))) < 1e-9 * size
    gram, other = (np.asarray(f).T @ np.asarray(f) for f in params[:2])
    np.testing.assert_allclose(gram, other, atol=1e-6)
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-6)


@every
@pytest.mark.parametrize("steps", [0, 1, 2, 5, 9])
def test_the_gap_is_what_the_next_sweep_is_sure_to_gain(case, steps):
    given = inputs(case)
    now, then = (
        case.fit(given, max_steps=s, tolerance=0.0).certificate for s in (steps, steps + 1)
    )
    assert now.steps == steps
    assert then.steps == steps + 1
    gain = float(now.objective - then.objective)
    assert 0 < now.gap * case.null(given) <= gain * (1 + 1e-9)
    assert not now.converged


@every
def test_the_gain_of_a_half_sweep_is_the_fall_of_the_objective(case):
    given = inputs(case)
    start, numbers = given["params"], [case.numbers[k] for k in sorted(case.numbers)]
    half, gain = case.module._propose(start, *(given[k] for k in ENTRIES), *numbers)
    fall = case.objective(start, given) - case.objective(half, given)
    np.testing.assert_allclose(gain, fall, rtol=1e-10)


@every
def test_by_default_it_converges_and_says_so(case):
    given = inputs(case)
    fitted = case.fit(given)
    assert fitted.certificate.converged
    np.testing.assert_allclose(fitted.certificate.objective, case.objective(fitted.params, given))
    gain = fitted.certificate.objective - case.exact(given).certificate.objective
    assert -1e-12 <= gain / case.null(given) < 1e-7
    again = case.fit(given | {"params": fitted.params})
    assert again.certificate.steps == 0
    early = case.fit(given, max_steps=1).certificate
    assert not early.converged


@every
def test_weight_is_repetition(case):
    given = inputs(case)
    counts = np.random.default_rng(3).integers(1, 4, size=70)
    a = case.exact(given | {"sample_weight": counts.astype(float)})
    b = case.exact(picked(given, np.repeat(np.arange(70), counts)) | {"sample_weight": None})
    np.testing.assert_allclose(predictions(case, a.params), predictions(case, b.params), rtol=1e-6)
    np.testing.assert_allclose(a.certificate.objective, b.certificate.objective, rtol=1e-12)


@every
@pytest.mark.parametrize("held", [np.nan, -np.inf, 1e6])
def test_weight_zero_is_absence_whatever_and_wherever_the_entry_is(case, held):
    given = inputs(case)
    keep = np.arange(70) % 9 != 0
    masked = {k: np.array(v) if k in ENTRIES else v for k, v in given.items()}
    masked["values"][~keep], masked["sample_weight"][~keep] = held, 0
    masked["rows"][[0, 9]], masked["columns"][[18, 27]] = [-1, M], [N + 5, -3]
    a, b = case.exact(masked), case.exact(picked(given, keep))
    np.testing.assert_allclose(predictions(case, a.params), predictions(case, b.params), rtol=1e-6)
    np.testing.assert_allclose(a.certificate.objective, b.certificate.objective, rtol=1e-12)


@every
@pytest.mark.parametrize(
    ("name", "held"),
    [("values", np.nan), ("values", np.inf), ("sample_weight", np.nan),
     ("rows", -1), ("rows", M), ("columns", -1), ("columns", N)],
)  # fmt: skip
def test_what_counts_and_cannot_shows(case, name, held):
    given = inputs(case)
    given[name] = np.array(given[name])
    given[name][5] = held
    params, certificate = case.fit(given)
    assert np.isnan(certificate.gap)
    assert np.isnan(certificate.objective)
    assert np.isnan(flat(params)).all()
    assert not certificate.converged


@every
def test_no_weight_at_all_and_less_than_none_prove_nothing(case):
    given = inputs(case)
    less = {"sample_weight": -given["sample_weight"], "l2": 100.0}  # each system is regular
    for change in ({"sample_weight": np.zeros(70)}, less):
        certificate = case.fit(given | change).certificate
        assert np.isnan(certificate.gap)
        assert not certificate.converged


@every
def test_a_null_model_below_zero_proves_nothing(case):
    """One weight below 0 makes L(null) so, be their sum above; a gain over it would pass."""
    given = inputs(case) | {"l2": 1e4}  # each system is regular
    given["sample_weight"][4], given["values"][4] = -1, 1e3
    given["params"] = jax.tree.map(jnp.zeros_like, given["params"])  # no factors, ever
    assert case.null(given) < 0 < given["sample_weight"].sum()
    certificate = case.fit(given, max_steps=3).certificate
    assert np.isfinite(certificate.objective)
    assert np.isnan(certificate.gap)
    assert not certificate.converged


def test_negative_clicks_that_count_show():
    case = CASES["implicit"]
    given = inputs(case)
    given["values"][4] = -1
    assert np.isnan(case.fit(given).certificate.gap)
    given["sample_weight"][4] = 0
    assert case.fit(given).certificate.converged


@every
def test_lanes_are_a_loop_and_a_nan_stays_in_its_lane(case):
    given = inputs(case)
    given["values"] = np.where(np.arange(70) == 3, np.nan, given["values"])
    absent = np.where(np.arange(70) == 3, 0, given["sample_weight"])
    weights = np.stack([absent, given["sample_weight"], absent**2])
    lanes = jax.vmap(lambda s: case.exact(given | {"sample_weight": s}))(weights)
    np.testing.assert_array_equal(np.isnan(lanes.certificate.gap), [False, True, False])
    for lane in (0, 2):
        alone = case.exact(given | {"sample_weight": weights[lane]}).params
        params = jax.tree.map(lambda a, lane=lane: a[lane], lanes.params)
        np.testing.assert_allclose(predictions(case, params), predictions(case, alone), rtol=1e-6)


@every
def test_single_precision_is_near_double(case):
    single, double = case.fit(inputs(case, np.float32)), case.exact(inputs(case))
    assert {a.dtype for a in jax.tree.leaves(single.params)} == {jnp.dtype(np.float32)}
    assert single.certificate.gap.dtype == np.float32
    assert single.certificate.converged
    near = predictions(case, single.params), predictions(case, double.params)
    np.testing.assert_allclose(*near, atol=0.02 * np.abs(near[1]).max())


@every
@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_the_gap_has_no_units(case, factor):
    given = inputs(case)
    scaled = given | {k: given[k] * factor for k in ("sample_weight", "l2")}
    if case.module is implicit_feedback:  # the pairs that were not seen have the weight 1
        scaled = given | {"values": given["values"] / factor, "confidence": 2.0 * factor}
    gaps = [case.fit(g, max_steps=3).certificate.gap for g in (given, scaled)]
    np.testing.assert_allclose(*gaps, rtol=1e-6)


@every
def test_a_new_number_compiles_nothing_and_numpy_is_welcome(case):
    given = inputs(case)
    fitted = case.fit(given)
    size = case.module.fit._cache_size()
    case.fit(given | {k: np.asarray(1.3 * v) for k, v in case.numbers.items()})
    assert case.module.fit._cache_size() == size
    again = case.fit({k: jax.tree.map(jnp.asarray, v) for k, v in given.items()})
    np.testing.assert_array_equal(flat(fitted), flat(again))


@every
def test_first_and_second_derivatives_of_predictions_are_those_of_refitting(case):
    given = inputs(case)
    rng = np.random.default_rng(4)
    names = ["values", "sample_weight", *case.numbers]
    v = {k: 0.1 * rng.normal(size=np.shape(given[k])) for k in names}
    v["sample_weight"][6], given["sample_weight"][6] = 1.0, 0.0  # an influence at weight 0

    def value(t):
        moved = given | {k: given[k] + t * v[k] for k in v}
        return case.probe(case.exact(moved).params, given["rows"], given["columns"])

    def forward(t):
        return jax.jvp(value, (t,), (1.0,))[1]

    reverse = jax.grad(value)
    first = jax.jit(lambda t: (value(t), reverse(t)))  # both in one program
    found = jax.jit(lambda t: (reverse(t), forward(t), jax.grad(reverse)(t), jax.grad(forward)(t)))
    right = slope(lambda t: np.array(first(t)))
    np.testing.assert_allclose(found(0.0), right[[0, 0, 1, 1]], rtol=1e-5)
    assert abs(right[1]) > 1e-3


@every
def test_one_factor_alone_has_no_gradient(case):
    given = inputs(case)

    def one(values):
        return case.exact(given | {"values": values}).params.row_factors[0, 0]

    assert np.isnan(jax.grad(one)(given["values"])).all()


@every
def test_the_objective_has_the_derivative_of_the_envelope(case):
    given = inputs(case)

    def value(l2):
        return case.exact(given | {"l2": l2}).certificate.objective

    params = case.exact(given).params
    penalised = params[:4] if case.module is matrix_factorization else params
    right = sum(np.sum(np.asarray(a) ** 2) for a in penalised) / 2
    np.testing.assert_allclose(jax.grad(value)(given["l2"]), right, rtol=1e-9)
    gap = jax.grad(lambda l2: case.fit(given | {"l2": l2}).certificate.gap)
    assert gap(given["l2"]) == 0

    def both(l2):
        found, first = jax.value_and_grad(value)(l2)
        return found + 2 * first

    h, first = 1e-3, jax.jit(jax.grad(value))
    second = (first(given["l2"] + h) - first(given["l2"] - h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(both)(given["l2"]), right + 2 * second, rtol=1e-4)


@every
def test_sharded_entries_give_the_same_answer_without_moving(case):
    given = inputs(case, entries=E)
    mesh = jax.make_mesh((8,), ("entries",), axis_types=(AxisType.Auto,))
    over, whole = (NamedSharding(mesh, PartitionSpec(*p)) for p in (("entries",), ()))
    spread = {k: jax.device_put(v, over if k in ENTRIES else whole) for k, v in given.items()}

    def probe(values, given):
        params = case.fit(given | {"values": values}).params
        return case.probe(params, given["rows"], given["columns"])

    def gradient(given):
        return jax.grad(probe)(given["values"], given)

    program = jax.jit(gradient).lower(spread).compile()
    assert row_collectives(program.as_text()) == []
    np.testing.assert_allclose(program(spread), gradient(given), rtol=1e-6, atol=1e-8)


@every
def test_products_are_precise_and_nothing_calls_back(case):
    given = inputs(case, np.float32)

    def probe(values):
        params = case.fit(given | {"values": values}).params
        return case.probe(params, given["rows"], given["columns"])

    for function in (lambda v: case.fit(given | {"values": v}), jax.grad(probe)):
        found = list(equations(jax.make_jaxpr(function)(given["values"]).jaxpr))
        products = [e for e in found if e.primitive.name == "dot_general"]
        assert products
        for product in products:
            assert {str(p).rsplit(".", 1)[-1] for p in product.params["precision"]} == {"HIGHEST"}
        assert not [e for e in found if re.search("callback|debug|feed", e.primitive.name)]


@every
def test_factorisations_of_many_lanes_wait_for_each_other(case):
    given = inputs(case)
    lanes = jax.vmap(lambda s: case.fit(given | {"sample_weight": s}))
    weights = np.stack([given["sample_weight"], 2 * given["sample_weight"]])
    program = jax.jit(partial(jax.lax.map, lanes)).lower(np.stack([weights, weights]))
    assert side_by_side(program.compile().as_text()) == []


@every
def test_sizes_that_cannot_be_are_refused(case):
    key, module = jax.random.key(0), case.module
    for rank in (0, -1, N + 1):
        with pytest.raises(ValueError, match=f"rank must be from 1 to {N} .* got {rank}"):
            module.init(key, (M, N), rank=rank)
    with pytest.raises(ValueError, match="at least one row and one column"):
        module.init(key, (0, N), rank=1)
    given = inputs(case)
    with pytest.raises(ValueError, match="at least one entry"):
        case.fit(picked(given, slice(0, 0)))
    with pytest.raises(TypeError, match="columns must be"):
        case.fit(given | {"columns": given["columns"][:5]})
    with pytest.raises(TypeError, match=r"values must be .* floats"):
        case.fit(given | {"values": given["values"].astype(int)})


@every
def test_predictions_outside_of_the_matrix_are_nan(case):
    predict = case.module.predict
    params = case.fit(inputs(case)).params
    for place in [(-1, 0), (M, 0), (0, -1), (0, N)]:
        assert np.isnan(predict(params, *place))
    assert np.isfinite(predict(params, M - 1, N - 1))


@pytest.mark.parametrize("method", [implicit_feedback, matrix_factorization])
def test_an_entry_of_weight_0_may_be_anything_and_a_negative_weight_proves_nothing(method):
    rng = np.random.default_rng(0)
    u, i = rng.integers(0, 5, 60), rng.integers(0, 5, 60)
    values, s = np.abs(rng.normal(size=60)).astype(np.float32), np.ones(60, np.float32)
    s[0] = 0
    start = method.init(jax.random.key(0), (5, 5), rank=1)
    alone = method.fit(start, u, i, values, sample_weight=s).certificate
    far = np.where(np.arange(60) == 0, np.float32(2e38), values)

    def value(s):
        return method.fit(start, u, i, far, sample_weight=s).certificate.objective

    np.testing.assert_array_equal(value(s), alone.objective)
    assert np.isfinite(jax.grad(value)(s)).all()
    negative = method.fit(start, u, i, values, sample_weight=np.where(np.arange(60) == 3, -1, s))
    assert np.isnan(negative.certificate.gap)
