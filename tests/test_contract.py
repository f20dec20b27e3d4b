"""The contract of every fit, examined over one registry (``tests/registry.py``).

A new method adds a line to the registry and writes none of these again.
"""

import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy.optimize import minimize

import mlmath
from tests.factorisations import side_by_side
from tests.registry import CASES, EXEMPT

pytestmark = pytest.mark.contract

every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
smooth = pytest.mark.parametrize(
    "case", [c for c in CASES if not c.discrete], ids=lambda case: case.name
)
iterative = pytest.mark.parametrize(
    "case", [c for c in CASES if c.limit], ids=lambda case: case.name
)
convex = pytest.mark.parametrize(
    "case", [c for c in CASES if c.limit and not c.local], ids=lambda case: case.name
)
stopping = pytest.mark.parametrize(  # at a tolerance: a length that is static takes all its steps
    "case", [c for c in CASES if c.limit and c.limit not in c.static], ids=lambda case: case.name
)
penalised = pytest.mark.parametrize(
    "case", [c for c in CASES if c.numbers], ids=lambda case: case.name
)


ROWS = ("X", "y", "observed", "sample_weight")


def inputs(case, dtype=np.float64, rows=None):
    """X, y, weights near 1, start and hyperparameters, as keyword arguments of the fit."""
    n = rows or case.rows
    X, y = case.data(n)
    rng = np.random.default_rng(5)
    weight = rng.integers(1, 3, size=n) if case.in_place else rng.uniform(0.5, 1.5, size=n)
    given = {"X": X, "sample_weight": weight, **case.numbers}
    if y is not None:
        given["y"] = y
    if case.observed:
        given["observed"] = case.observed(n)
    return cast(located(case, given), dtype)


def cast(given, dtype):
    """Numbers in ``dtype``; what is true or false stays that."""

    def converted(a):
        return np.asarray(a, bool if np.asarray(a).dtype == bool else dtype)

    return jax.tree.map(converted, given)


def located(case, given):
    """The same with the start that belongs to its X."""
    return given | ({case.learnt: case.begin(given["X"])} if case.learnt else {})


def fit(case, given, **more):
    return case.module.fit(**given, **(case.static | more))


def stopped(case, steps):
    """Keyword that stops an iteration after ``steps``; none for a closed form."""
    return {case.limit: steps} if case.limit else {}


def exact(case, given):
    """Fit to the last digit: derivatives by differences need it."""
    return fit(case, given, tolerance=0.0)


@functools.cache
def objective_of(module):
    return jax.jit(module.objective)


def objective(case, params, given):
    taken = {k: v for k, v in given.items() if k in (*ROWS, *case.penalties)}
    return objective_of(case.module)(params, **taken)


def flat(tree):
    return np.asarray(ravel_pytree(tree)[0])


def probe(params):
    """A smooth function of the parameters to differentiate."""
    v, _ = ravel_pytree(params)
    c = jnp.cos(1.0 + jnp.arange(v.size, dtype=v.dtype))
    return jnp.sum(c * v + jnp.sin(v / 3) * jnp.roll(c, 1))  # no product of its own


def gradient(case, given):
    """Derivative of the probe in all that are numbers."""
    known = {k: v for k, v in given.items() if k == "observed"}
    numbers = {k: v for k, v in given.items() if k not in known}
    return jax.grad(lambda numbers: probe(fit(case, known | numbers).params))(numbers)


def direction(case, given):
    rng = np.random.default_rng(7)

    def step(v):
        return rng.normal(size=np.shape(v)) * 0.1 * (np.abs(v) + 0.1)

    steps = {k: jax.tree.map(step, v) for k, v in given.items()}
    return {k: jax.tree.map(lambda a, k=k: a * (k not in case.frozen), v) for k, v in steps.items()}


def slope(function, h=2e-3):
    """Fourth-order central difference of a function of one number at 0."""
    return (8 * (function(h) - function(-h)) - (function(2 * h) - function(-2 * h))) / (12 * h)


def bend(function, h=1e-2):
    """Fourth-order second difference of a function of one number at 0."""
    near, far = function(h) + function(-h), function(2 * h) + function(-2 * h)
    return (16 * near - far - 30 * function(0.0)) / (12 * h * h)


class Programs(NamedTuple):
    """Compiled once per case: a number of the fit along a direction, and its derivatives."""

    value: Callable[..., Any]
    first: Callable[..., Any]
    second: Callable[..., Any]


@functools.cache
def programs_of(name):
    case = next(c for c in CASES if c.name == name)

    def value(given, v, t):
        return probe(exact(case, moved(given, v, t)).params)

    def forward(given, v, t):
        return jax.jvp(lambda t: value(given, v, t), (t,), (1.0,))[1]

    reverse = jax.grad(value, argnums=2)

    def first(given, v, t):
        return {"forward": forward(given, v, t), "reverse": reverse(given, v, t)}

    def second(given, v):
        return {
            "forward over reverse": jax.jvp(lambda t: reverse(given, v, t), (0.0,), (1.0,))[1],
            "reverse over reverse": jax.grad(reverse, argnums=2)(given, v, 0.0),
            "reverse over forward": jax.grad(forward, argnums=2)(given, v, 0.0),
        }

    return Programs(*map(jax.jit, (value, first, second)))


def programs(case):
    return programs_of(case.name)


def moved(given, v, t):
    return jax.tree.map(lambda a, b: a if a.dtype == bool else a + t * b, given, v)


@functools.cache
def slope_of(name):
    """Objective and gradient in the parameters as one vector, compiled once per case."""
    case = next(c for c in CASES if c.name == name)

    def value(v, like, given):
        return objective(case, ravel_pytree(like)[1](v), given)

    return jax.jit(jax.value_and_grad(value))


def optimum(case, given):
    """L*, by the fit in float64 and by scipy from where it ends, whichever is lower."""
    given = cast(given, np.float64)
    best = exact(case, given).params
    start = flat(best)
    function = slope_of(case.name)
    found = minimize(lambda v: tuple(map(np.asarray, function(v, best, given))), start, jac=True)
    return min(float(found.fun), float(function(start, best, given)[0]))


def null(case, given):
    params = case.null(given["X"], given.get("y"), given["sample_weight"])
    return float(objective(case, jax.tree.map(jnp.asarray, params), given))


def tiny(case):
    """Objectives that should be zero are compared on the scale of the null model."""
    return 1e-14 * abs(null(case, inputs(case)))


def scale(case, given, value, excess):
    """What a gap is a share of: L(null), or L(null) − L(x) plus the excess if L has no zero."""
    above = null(case, given)
    return max(above - float(value), 0) + excess if case.log_density else above


def in_double(case, fitted, double):
    """Excess of an answer, and what its gap is a share of, in float64."""
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), fitted.params)
    value = float(objective(case, params, double))
    excess = value - optimum(case, double)
    return excess, scale(case, double, value, excess)


def repeated(given, counts):
    rows = {"X", "y", "observed"}
    return {k: np.repeat(v, counts, axis=0) if k in rows else v for k, v in given.items()}


@every
def test_weight_is_repetition(case):
    given = inputs(case)
    counts = np.random.default_rng(3).integers(1, 4, size=case.rows)
    weighted = exact(case, given | {"sample_weight": counts.astype(float)})
    twice = exact(case, repeated(given, counts) | {"sample_weight": None})
    np.testing.assert_allclose(flat(weighted.params), flat(twice.params), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(
        weighted.certificate.objective, twice.certificate.objective, rtol=1e-12, atol=tiny(case)
    )
    assert weighted.certificate.converged == twice.certificate.converged


@every
@pytest.mark.parametrize("absent", [np.nan, np.inf, 1e6, 1e200])
def test_weight_zero_is_absence_whatever_the_row_holds(case, absent):
    given = inputs(case)
    keep = np.ones(case.rows, bool)
    keep[[0, 5, -1]] = False
    masked = jax.tree.map(np.array, given)
    masked["X"][~keep] = absent
    masked["sample_weight"] = given["sample_weight"] * keep
    if np.isnan(absent) and "y" in given:
        masked["y"][~keep] = absent
    fewer = {k: v[keep] if k in ROWS else v for k, v in given.items()}
    a, b = exact(case, masked), exact(case, fewer)
    np.testing.assert_allclose(flat(a.params), flat(b.params), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(
        a.certificate.objective, b.certificate.objective, rtol=1e-10, atol=tiny(case)
    )


@smooth
def test_absent_nan_rows_leave_derivatives_alone(case):
    given = inputs(case)
    keep = np.ones(case.rows, bool)
    keep[[1, 4]] = False
    v = direction(case, given)
    v["sample_weight"][~keep] = 0
    fewer, v_fewer = (
        {k: x[keep] if k in ROWS else x for k, x in tree.items()} for tree in (given, v)
    )
    given["X"][~keep], given["sample_weight"][~keep] = np.nan, 0
    if "y" in given:
        given["y"][~keep] = np.nan
    value, first, second = programs(case)
    found = first(given, v, 0.0) | second(given, v)
    sloped = slope(lambda t: value(fewer, v_fewer, t))
    bent = bend(lambda t: value(fewer, v_fewer, t))
    np.testing.assert_allclose(found["reverse"], sloped, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found["forward"], sloped, rtol=1e-6, atol=1e-9)
    for order in ("forward over reverse", "reverse over reverse", "reverse over forward"):
        np.testing.assert_allclose(found[order], bent, rtol=1e-4, atol=1e-6, err_msg=order)


@smooth
def test_influence_is_right_at_weight_zero(case):
    given = inputs(case)
    given["sample_weight"][2] = 0
    v = jax.tree.map(np.zeros_like, given)
    v["sample_weight"][2] = 1.0
    value, first, second = programs(case)
    found = first(given, v, 0.0) | second(given, v)
    np.testing.assert_allclose(
        found["reverse"], slope(lambda t: value(given, v, t), 1e-3), rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(
        found["reverse over reverse"],
        slope(lambda t: first(given, v, t)["reverse"], 1e-3),
        rtol=1e-5,
        atol=1e-8,
    )
    assert (abs(found["reverse"]) > 1e-6) != case.interpolates


@every
def test_a_nan_that_counts_shows(case):
    given = inputs(case)
    given["X"][3, 0] = np.nan
    for weight in (given["sample_weight"], None):
        fitted = fit(case, given | {"sample_weight": weight})
        assert not fitted.certificate.converged
        assert np.isnan(fitted.certificate.gap)
        assert np.isnan(fitted.certificate.objective)


@every
def test_a_nan_that_counts_in_one_lane_shows_in_its_params(case):
    """Whatever the other lanes of a ``vmap`` hold: here the same rows without that one."""
    given = inputs(case)
    given["X"][3, 0] = np.nan
    some = given["sample_weight"]
    weights = np.stack([np.where(some == 0, 1, some), np.where(np.arange(len(some)) == 3, 0, some)])
    lanes = jax.vmap(lambda s: fit(case, given | {"sample_weight": s}).params)(weights)
    for leaf in jax.tree.leaves(lanes):
        assert np.isnan(leaf[0]).any() or case.discrete
        assert np.isfinite(leaf[1]).all()


@every
def test_factorisations_of_many_lanes_wait_for_each_other(case):
    """Two batched LAPACK calls side by side can stop a program for ever (``factorisations``)."""
    given = inputs(case)

    def lanes(weights):
        return jax.vmap(lambda s: fit(case, given | {"sample_weight": s}))(weights)

    weights = np.stack([given["sample_weight"], 2 * given["sample_weight"]])
    program = jax.jit(lambda many: jax.lax.map(lanes, many)).lower(np.stack([weights, weights]))
    assert side_by_side(program.compile().as_text()) == []


@every
@pytest.mark.parametrize("factor", [1e-30, 1e-20, 1e20, 1e30])
def test_units_beyond_the_range_of_float32_never_look_proved(case, factor):
    """Squares of 1e±20 leave float32: the answer is right or says that it is not."""
    given = inputs(case, np.float32)
    given["X"] = (given["X"] * np.float32(factor)).astype(np.float32)
    given = located(case, given)
    double = cast(given, np.float64)
    fitted = fit(case, given)
    if fitted.certificate.converged:
        excess, whole = in_double(case, fitted, double)
        assert excess <= 1e-3 * whole


@every
@pytest.mark.parametrize("mean", [100.0, 300.0, 1e4])
def test_a_mean_far_from_zero_leaves_the_gap_true(case, mean):
    given = inputs(case, np.float32)
    given["X"] = (given["X"] + np.float32(mean)).astype(np.float32)
    given = located(case, given)
    double = cast(given, np.float64)
    fitted = fit(case, given)
    assert fitted.certificate.converged or mean > 100 or case.in_place
    if fitted.certificate.converged:
        excess, whole = in_double(case, fitted, double)
        # the weights themselves are rounded: a relative error ε of wᵀx moves L by about (ε mean)²
        rounding = (4 * float(jnp.finfo(np.float32).eps) * mean) ** 2
        assert excess / whole <= 2 * float(fitted.certificate.gap) + 1e-4 + rounding


@every
def test_no_weight_at_all_is_never_a_plausible_number(case):
    given = inputs(case)
    fitted = fit(case, given | {"sample_weight": np.zeros(case.rows)})
    assert not fitted.certificate.converged
    assert np.isnan(fitted.certificate.gap)


@every
def test_eager_is_jit_is_vmap(case):
    given = inputs(case)
    reference = flat(exact(case, given).params)
    inside = jax.jit(lambda given: exact(case, given))(given)
    np.testing.assert_allclose(flat(inside.params), reference, rtol=1e-9, atol=1e-11)
    many = np.stack([given["sample_weight"], 1 + np.zeros(case.rows), given["sample_weight"] * 2])
    batch = jax.vmap(lambda w: exact(case, given | {"sample_weight": w}))(many)
    for lane, weight in enumerate(many):
        alone = exact(case, given | {"sample_weight": weight})
        row = jax.tree.map(lambda a, lane=lane: a[lane], batch)
        np.testing.assert_allclose(flat(row.params), flat(alone.params), rtol=1e-8, atol=1e-10)
        assert row.certificate.converged == alone.certificate.converged


@every
def test_without_compilation_the_answer_is_the_same(case):
    given = inputs(case, rows=12)
    with jax.disable_jit():
        eager = fit(case, given, **stopped(case, 3))
    compiled = fit(case, given, **stopped(case, 3))
    np.testing.assert_allclose(flat(eager.params), flat(compiled.params), rtol=1e-8, atol=1e-10)


@penalised
def test_a_sweep_is_a_loop(case):
    given = inputs(case)
    for name, value in case.numbers.items():
        sweep = np.stack([np.asarray(value) * c for c in (0.5, 1.0, 30.0)])
        batch = jax.vmap(lambda v, name=name: exact(case, given | {name: v}))(sweep)
        loop = [flat(exact(case, given | {name: v}).params) for v in sweep]
        for lane in range(3):
            row = jax.tree.map(lambda a, lane=lane: a[lane], batch.params)
            np.testing.assert_allclose(flat(row), loop[lane], rtol=1e-8, atol=1e-10)


@every
def test_numpy_in_is_jax_in(case):
    given = inputs(case)
    ours = fit(case, given)
    theirs = fit(case, jax.tree.map(jnp.asarray, given))
    np.testing.assert_array_equal(flat(ours), flat(theirs))
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(ours))


@every
def test_arguments_come_back_unchanged(case):
    given = inputs(case)
    before = jax.tree.map(np.array, given)
    fit(case, given)
    jax.tree.map(np.testing.assert_array_equal, given, before)


@penalised
def test_a_new_hyperparameter_compiles_nothing(case):
    given = inputs(case)
    fit(case, given)
    size = case.module.fit._cache_size()
    for factor in (1.1, 2.0, 3.3):
        fit(case, given | {k: np.asarray(v) * factor for k, v in case.numbers.items()})
    assert case.module.fit._cache_size() == size


@every
def test_dtype_follows_the_input(case):
    fitted = fit(case, inputs(case, np.float32))
    floats = [a for a in jax.tree.leaves(fitted) if jnp.issubdtype(a.dtype, jnp.floating)]
    assert floats
    assert {a.dtype for a in floats} == {jnp.dtype(np.float32)}


@every
def test_float32_by_default_is_near_float64(case):
    single, double = fit(case, inputs(case, np.float32)), fit(case, inputs(case))
    assert single.certificate.converged
    assert double.certificate.converged
    scale = np.abs(flat(double.params)).max()
    np.testing.assert_allclose(flat(single.params), flat(double.params), atol=1e-3 * scale)


@smooth
def test_first_and_second_derivatives_are_those_of_refitting(case):
    given = inputs(case)
    value, first, second = programs(case)
    for name in set(given) - set(case.frozen):
        v = {
            k: jax.tree.map(lambda a, k=k, name=name: a * (k == name), x)
            for k, x in direction(case, given).items()
        }
        found = first(given, v, 0.0) | second(given, v)
        difference = slope(lambda t, v=v: value(given, v, t))
        np.testing.assert_allclose(found["forward"], found["reverse"], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found["reverse"], difference, rtol=1e-6, atol=1e-9, err_msg=name)
        difference = slope(lambda t, v=v: first(given, v, t)["reverse"])
        for order in ("forward over reverse", "reverse over reverse", "reverse over forward"):
            np.testing.assert_allclose(
                found[order], difference, rtol=1e-5, atol=1e-8, err_msg=f"{name}, {order}"
            )


@smooth
def test_the_objective_has_the_derivative_of_the_envelope(case):
    given = inputs(case)
    v = direction(case, given)

    def certificate(t):
        return exact(case, moved(given, v, t)).certificate

    @jax.jit
    def slopes(t):
        """Derivatives of the objective and of the gap."""
        pull = jax.vjp(lambda t: certificate(t)[:2], t)[1]
        return pull((1.0, 0.0))[0], pull((0.0, 1.0))[0]

    value = jax.jit(lambda t: certificate(t).objective)
    first, of_gap = slopes(0.0)
    second = jax.jit(jax.grad(lambda t: slopes(t)[0]))(0.0)
    np.testing.assert_allclose(first, slope(value), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(second, slope(lambda t: slopes(t)[0]), rtol=1e-6, atol=1e-8)
    params = exact(case, given).params
    partial = jax.grad(lambda t: objective(case, params, moved(given, v, t)))(0.0)
    np.testing.assert_allclose(first, partial, rtol=1e-6, atol=1e-8)
    assert of_gap == 0


@every
def test_the_certified_objective_is_the_objective(case):
    given = inputs(case)
    fitted = fit(case, given)
    np.testing.assert_allclose(
        fitted.certificate.objective,
        objective(case, fitted.params, given),
        rtol=1e-12,
        atol=tiny(case),
    )


@convex
@pytest.mark.parametrize("steps", [0, 1, 2, 4, 7])
def test_the_gap_is_true_wherever_the_fit_stops(case, steps):
    given = inputs(case)
    certificate = fit(case, given, **stopped(case, steps)).certificate
    excess = float(certificate.objective) - optimum(case, given)
    rounding = 1e-14 * abs(float(certificate.objective))
    assert certificate.gap * null(case, given) >= excess / 2 - rounding


@pytest.mark.parametrize("case", [c for c in CASES if c.local], ids=lambda case: case.name)
@pytest.mark.parametrize("steps", [0, 1, 2, 4, 7])
def test_a_local_gap_is_what_the_next_step_is_sure_to_gain(case, steps):
    given = inputs(case)
    now, then = (fit(case, given, **stopped(case, s)).certificate for s in (steps, steps + 1))
    gain = float(now.objective - then.objective)
    rounding = 1e-14 * abs(float(now.objective))
    assert now.gap * scale(case, given, now.objective, gain) <= gain + rounding
    assert now.converged or then.steps == steps + 1


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gap_is_true_at_the_answer(case, dtype):
    given = inputs(case, dtype)
    double = cast(given, np.float64)
    fitted = fit(case, given)
    excess, whole = in_double(case, fitted, double)
    bound = max(float(fitted.certificate.gap), float(4 * jnp.finfo(dtype).eps))
    assert excess / whole <= 2 * bound


@iterative
def test_a_fit_that_is_stopped_early_says_so(case):
    given = inputs(case)
    early = fit(case, given, **stopped(case, 1))
    assert early.certificate.steps == 1
    assert not early.certificate.converged
    assert fit(case, given).certificate.converged


@stopping
def test_a_fit_resumes_where_it_is_started(case):
    given = inputs(case)
    fitted = fit(case, given)
    again = fit(case, given | {case.learnt or "start": case.resume(fitted.params)})
    assert again.certificate.steps <= 1
    np.testing.assert_allclose(flat(again.params), flat(fitted.params), rtol=1e-6, atol=1e-8)


@every
@pytest.mark.parametrize("factor", [1e-8, 1e8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gap_has_no_units(case, factor, dtype):
    given = inputs(case, dtype)
    early = stopped(case, 2)
    scaled = {
        k: np.asarray(v * factor, dtype) if k in ("sample_weight", *case.penalties) else v
        for k, v in given.items()
    }
    changes = [] if case.in_place else [scaled]  # a presentation has no units
    if case.measured:
        measured = "y" if "y" in given else "X"
        changes.append(
            located(case, given | {measured: np.asarray(given[measured] * factor, dtype)})
        )
    for change in changes:
        reference, other = fit(case, given, **early), fit(case, change, **early)
        if case.limit:
            np.testing.assert_allclose(reference.certificate.gap, other.certificate.gap, rtol=1e-2)
        assert reference.certificate.converged == other.certificate.converged
        assert fit(case, change).certificate.converged


def equations(jaxpr):
    """All equations of a jaxpr, inner ones too."""
    for equation in jaxpr.eqns:
        yield equation
        for parameter in jax.tree.leaves(
            list(equation.params.values()),
            is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr"),
        ):
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


def imprecise(program):
    """Products of matrices of a program, and those that are not at full precision."""
    products = [e for e in equations(program.jaxpr) if e.primitive.name == "dot_general"]
    levels = [{str(p).rsplit(".", 1)[-1] for p in e.params["precision"] or ()} for e in products]
    return products, [e for e, at in zip(products, levels, strict=True) if at != {"HIGHEST"}]


@every
def test_products_are_precise_and_nothing_calls_back(case):
    given = inputs(case, np.float32)
    programs = [jax.make_jaxpr(lambda given: fit(case, given))(given)]
    if not case.discrete:
        programs.append(jax.make_jaxpr(lambda given: gradient(case, given))(given))
    for program in programs:
        products, rough = imprecise(program)
        assert products
        assert not rough
        names = [e.primitive.name for e in equations(program.jaxpr)]
        assert not [name for name in names if re.search("callback|debug|feed", name)]


@every
def test_products_of_many_lanes_and_many_rows_are_precise(case):
    given = inputs(case, np.float32)
    weights = np.stack([given.pop("sample_weight")] * 9)
    lanes = jax.vmap(lambda given, s: fit(case, given | {"sample_weight": s}), (None, 0))
    assert not imprecise(jax.make_jaxpr(lanes)(given, weights))[1]
    if "mlmath.linear." in case.module.__name__:
        return  # its prediction is one product, at the precision that the user sets
    params = jax.eval_shape(lambda given: fit(case, given).params, given)
    data = (given["X"], given["observed"]) if case.observed else (given["X"],)
    for name in {"predict", "transform", "whiten", "log_prob", "loss"} & {*case.module.__all__}:
        function = getattr(case.module, name)
        if len(inspect.signature(function).parameters) == 1 + len(data):
            assert not imprecise(jax.make_jaxpr(mlmath.rows(function))(params, *data))[1], name


_SHARE = 41  # rows on each of eight devices: no other dimension is a multiple of it

_COLLECTIVE = re.compile(
    r"= (.*?) (all-gather|all-to-all|collective-permute|ragged-all-to-all)(?:-start)?\("
)


def row_collectives(program):
    """Collectives of a compiled program whose result has a row dimension."""
    moved = []
    for shapes, name in _COLLECTIVE.findall(program):
        sizes = [int(s) for dims in re.findall(r"\[([\d,]+)\]", shapes) for s in dims.split(",")]
        if any(size % _SHARE == 0 for size in sizes):
            moved.append(f"{name}: {shapes}")
    return moved


@pytest.mark.parametrize("case", [c for c in CASES if c.shards], ids=lambda case: case.name)
def test_sharded_rows_give_the_same_answer_without_moving(case):
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
    over = NamedSharding(mesh, PartitionSpec("rows"))
    whole = NamedSharding(mesh, PartitionSpec())
    given = inputs(case, rows=8 * _SHARE)
    spread = {k: jax.device_put(v, over if k in ROWS else whole) for k, v in given.items()}
    functions = [lambda given: fit(case, given)]
    if not case.discrete:
        functions.append(lambda given: gradient(case, given))
    for function in functions:
        compiled = jax.jit(function).lower(spread).compile()
        assert row_collectives(compiled.as_text()) == []
        ours, alone = compiled(spread), function(given)
        np.testing.assert_allclose(
            flat(jax.tree.leaves(ours)[:-3]),
            flat(jax.tree.leaves(alone)[:-3]),
            rtol=1e-6,
            atol=1e-9,
        )


def test_the_reader_of_collectives_sees_a_gather():
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
    X = jax.device_put(np.ones((8 * _SHARE, 3)), NamedSharding(mesh, PartitionSpec("rows")))
    program = jax.jit(lambda X: jnp.linalg.qr(X)[1]).lower(X).compile().as_text()
    assert row_collectives(program)


def test_every_public_fit_is_registered_or_exempt_with_a_reason():
    modules = [
        importlib.import_module(info.name)
        for info in pkgutil.walk_packages(mlmath.__path__, "mlmath.")
        if not info.name.startswith("mlmath.cli")
    ]
    with_fit = {m.__name__: m for m in modules if "fit" in getattr(m, "__all__", ())}
    registered = {case.module.__name__ for case in CASES}
    assert set(with_fit) == registered | set(EXEMPT)
    for name, reason in EXEMPT.items():
        assert reason in " ".join(with_fit[name].__doc__.split())
    for case in CASES:
        text = " ".join(case.module.__doc__.split())
        takes = inspect.signature(case.module.fit).parameters
        assert case.discrete in text
        assert bool(case.limit) == bool({"start", case.learnt} & set(takes)), "it has a start"
        assert not case.limit or case.limit in takes
        if case.limit in case.static:
            assert f"the number of {case.limit} is static" in text
