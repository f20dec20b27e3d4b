"""One examination for every first-order method: equal to optax's, and its numbers are leaves."""

import functools
import importlib
from types import MappingProxyType
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.tree_util import Partial

from mlmath.arguments import ArgumentError
from mlmath.optimize import first_order


class Case(NamedTuple):
    name: str
    peer: Any
    rates: tuple[float, float, float]  # at which the loss falls: quadratic, Rosenbrock, network
    numbers: Any = MappingProxyType({})  # far from the defaults, so that derivatives can be seen


MOMENTS = {"b1": 0.8, "b2": 0.9, "eps": 0.05}
CASES = [
    Case("sgd", optax.sgd, (0.05, 1e-3, 0.1)),
    Case("momentum", lambda r, decay=0.9: optax.sgd(r, decay), (0.02, 2e-4, 0.05), {"decay": 0.7}),
    Case(
        "nesterov",
        lambda r, decay=0.9: optax.sgd(r, decay, nesterov=True),
        (0.02, 2e-4, 0.05),
        {"decay": 0.7},
    ),
    Case(
        "adagrad",
        lambda r, start=0.1, eps=1e-7: optax.adagrad(r, start, eps),
        (0.5, 0.5, 0.1),
        {"start": 0.3, "eps": 0.05},
    ),
    Case("rmsprop", optax.rmsprop, (0.01, 0.005, 0.01), {"decay": 0.8, "eps": 0.05}),
    Case(
        "centred_rmsprop",
        functools.partial(optax.rmsprop, centered=True),
        (0.005, 0.002, 5e-4),
        {"decay": 0.8, "eps": 0.05},
    ),
    Case(
        "adadelta",
        lambda r, decay=0.9, eps=1e-6: optax.adadelta(r, decay, eps),
        (1.0, 1.0, 1.0),
        {"decay": 0.8, "eps": 0.05},
    ),
    Case("adam", optax.adam, (0.05, 0.02, 0.02), MOMENTS),
    Case(
        "adamw",
        lambda r, decay=1e-4, **more: optax.adamw(r, weight_decay=decay, **more),
        (0.05, 0.02, 0.02),
        MOMENTS | {"decay": 0.1},
    ),
    Case("nadam", optax.nadam, (0.05, 0.02, 0.02), MOMENTS),
    Case("amsgrad", optax.amsgrad, (0.05, 0.02, 0.02), MOMENTS),
    Case("adamax", optax.adamax, (0.05, 0.02, 0.02), MOMENTS),
    Case(
        "lion",
        lambda r, decay=1e-3, **more: optax.lion(r, weight_decay=decay, **more),
        (0.005, 0.005, 0.002),
        {"b1": 0.8, "b2": 0.9, "decay": 0.1},
    ),
]
every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def ours(case, rate=0.1, **numbers):
    return getattr(first_order, case.name)(rate, **numbers)


def tree(seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return {
        "w": jnp.asarray(rng.normal(size=(30, 4)), dtype),
        "b": [jnp.asarray(rng.normal(size=4), dtype)],
    }


def as_optax(case, state, peer_state):
    """State of ours in optax's tuples, which hold the same numbers in the same order."""
    if case.name == "centred_rmsprop":  # there s, here q = s − m²
        (inner, last) = state
        square = jax.tree.map(lambda q, m: q + m * m, inner.variance, inner.mean)
        state = (inner._replace(variance=square), last)
    return jax.tree.unflatten(jax.tree.structure(peer_state), jax.tree.leaves(state))


def ulps(a, b):
    a, b = (np.asarray(ravel_pytree(v)[0]) for v in (a, b))
    return np.max(initial=0, a=np.abs(a - b) / np.spacing(np.maximum(np.abs(a), np.abs(b))))


@pytest.mark.parametrize(
    ("dtype", "scheduled"),
    [(np.float32, False), (np.float64, False), (np.float64, True)],
    ids=["float32", "float64", "schedule"],
)
@every
def test_one_step_from_the_same_state_is_optax_s_to_four_ulp(case, scheduled, dtype):
    number, schedule = 0.03, optax.exponential_decay(0.03, 10.0, 0.5)
    optimizer = ours(
        case, first_order.exponential_decay(0.03, steps=10, rate=0.5) if scheduled else number
    )
    peer = case.peer(schedule if scheduled else number)
    params = tree(0, dtype)
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    for seed in range(1, 4):
        _, state = update(tree(seed, dtype), state, params)
    same, grads = as_optax(case, state, peer.init(params)), tree(9, dtype)
    mine, after = update(grads, state, params)
    theirs, expected = jax.jit(peer.update)(grads, same, params)
    chex.assert_trees_all_equal_dtypes(mine, params)
    assert ulps(mine, theirs) <= 4
    assert ulps(as_optax(case, after, expected), expected) <= 4


A = np.diag(np.linspace(0.5, 10, 8))
X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.sin(X[:, 0]) * X[:, 1]


def quadratic(x):
    return x @ A @ x / 2


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def network(params):
    hidden = jnp.tanh(X @ params["w"] + params["b"][None])
    return jnp.mean((hidden @ params["v"] - Y) ** 2)


def starts():
    rng = np.random.default_rng(3)
    sizes = {"w": (3, 6), "b": (6,), "v": (6,)}
    return (
        jnp.ones(8),
        jnp.array([-1.2, 1.0, -1.2]),
        {k: jnp.asarray(rng.normal(size=s)) for k, s in sizes.items()},
    )


def descended(optimizers, steps=200):
    """All three problems in one loop: their last parameters and all losses."""
    problems = (quadratic, rosenbrock, network)

    def step(carry, _):
        after, losses = [], []
        for problem, optimizer, (x, state) in zip(problems, optimizers, carry, strict=True):
            value, grads = jax.value_and_grad(problem)(x)
            updates, state = optimizer.update(grads, state, x)
            after.append((optax.apply_updates(x, updates), state))
            losses.append(value)
        return after, jnp.stack(losses)

    begin = [(x, o.init(x)) for x, o in zip(starts(), optimizers, strict=True)]
    last, losses = lax.scan(step, begin, length=steps)
    return [x for x, _ in last], losses


@every
def test_two_hundred_steps_are_optax_s(case):
    @jax.jit
    def both():
        return (
            descended([ours(case, rate) for rate in case.rates]),
            descended([case.peer(rate) for rate in case.rates]),
        )

    (mine, losses), (theirs, expected) = both()
    assert np.all(losses[-1] < 0.9 * losses[0])
    for x, y in zip(mine, theirs, strict=True):
        x, y = ravel_pytree(x)[0], ravel_pytree(y)[0]
        assert jnp.linalg.norm(x - y) <= 1e-9 * jnp.linalg.norm(y)
    np.testing.assert_allclose(losses, expected, rtol=1e-9)


def small(x):
    return jnp.sum(jnp.cos(x) * 0.3 + x**4 / 4 - x)


SMALL = np.array([1.5, -0.7, 0.4, 2.0])


def after_five_steps(optimizer):
    def step(carry, _):
        x, state = carry
        updates, state = optimizer.update(jax.grad(small)(x), state, x)
        return (first_order.apply(x, updates), state), None

    x = jnp.asarray(SMALL)
    (x, _), _ = lax.scan(step, (x, optimizer.init(x)), length=5)
    return small(x) + x @ jnp.array([1.0, 2.0, 3.0, 4.0])


@every
def test_numbers_are_traced_swept_and_learnt(case):
    """One trace for three learning rates; vmap over, and grad in, every hyperparameter."""
    chex.clear_trace_counter()
    optimizer = ours(case, 0.05, **case.numbers)
    value = jax.jit(chex.assert_max_traces(after_five_steps, n=1))
    single = [value(ours(case, rate, **case.numbers)) for rate in (0.02, 0.05, 0.1)]
    assert len(set(map(float, single))) == 3

    leaves, structure = jax.tree.flatten(optimizer)
    leaves = np.array(leaves)
    assert len(leaves) == 1 + len(case.numbers)
    h = 1e-4 * leaves
    numbers = np.concatenate([leaves + k * np.diag(h) for k in (-2, -1, 0, 1, 2)])
    moved = jax.tree.unflatten(structure, list(numbers.T))

    @jax.jit
    def both(moved, optimizer):
        return jax.vmap(after_five_steps)(moved), jax.grad(after_five_steps)(optimizer)

    swept, learnt = both(moved, optimizer)
    swept, learnt = np.reshape(swept, (5, -1)), np.array(jax.tree.leaves(learnt))
    np.testing.assert_allclose(swept[2], value(optimizer), rtol=1e-13)
    slope = (swept[0] - 8 * swept[1] + 8 * swept[3] - swept[4]) / (12 * h)
    np.testing.assert_allclose(learnt, slope, rtol=1e-6, atol=1e-8)
    assert np.all((learnt != 0) | (case.name == "lion"))


LINKS = [
    Case("clip", optax.clip, (0, 0, 0)),
    Case("clip_by_global_norm", optax.clip_by_global_norm, (0, 0, 0)),
    Case("coupled", optax.add_decayed_weights, (0, 0, 0)),
]


@pytest.mark.parametrize("case", CASES + LINKS, ids=lambda case: case.name)
def test_a_compiled_update_costs_no_more_than_optax_s(case):
    def cost(optimizer):
        state = optimizer.init(params)
        compiled = jax.jit(optimizer.update).lower(params, state, params).compile()
        return compiled.cost_analysis()

    params = {"w": jnp.ones((50, 20)), "b": jnp.ones(20)}
    mine, theirs = cost(ours(case)), cost(case.peer(0.1))
    for measure in ("flops", "transcendentals", "bytes accessed"):
        assert mine.get(measure, 0) <= theirs.get(measure, 0), measure


@every
def test_takes_its_place_in_a_chain_of_optax(case):
    mixed = optax.chain(optax.clip_by_global_norm(1.0), ours(case))
    pure = optax.chain(optax.clip_by_global_norm(1.0), case.peer(0.1))
    params, grads = tree(0), tree(1)
    mine, state = jax.jit(mixed.update)(grads, mixed.init(params), params)
    theirs, _ = jax.jit(pure.update)(grads, pure.init(params), params)
    chex.assert_trees_all_close(mine, theirs, rtol=1e-12)
    assert len(state) == 2


@every
def test_dtype_follows_the_parameters(case):
    numbers = {k: np.float64(v) for k, v in case.numbers.items()}
    optimizer = ours(case, jnp.float64(0.1), **numbers)
    params = {"half": jnp.ones(3, jnp.float32), "whole": jnp.ones((), jnp.float64)}
    state = optimizer.init(params)
    updates, after = jax.eval_shape(optimizer.update, params, state, params)
    chex.assert_trees_all_equal_dtypes(updates, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(after, state)


@every
def test_a_parameter_without_gradient_is_no_nan(case):
    def moved(optimizer):
        x = {"dead": jnp.zeros(2), "alive": jnp.ones(2)}
        grads = {"dead": jnp.zeros(2), "alive": jnp.ones(2)}
        updates, _ = optimizer.update(grads, optimizer.init(x), x)
        return jnp.sum(updates["dead"]) + jnp.sum(updates["alive"])

    slope = jax.jit(jax.grad(moved))(ours(case, **case.numbers))
    assert np.isfinite(jax.tree.leaves(slope)).all()


@every
def test_a_bare_function_as_schedule_is_refused(case):
    with pytest.raises(
        ArgumentError,
        match=r"learning_rate must be a number or jax.tree_util.Partial, got function; bind",
    ):
        ours(case, lambda step: 0.1 / (1 + step))
    ours(case, Partial(lambda step: 0.1 / (1 + step)))


MODULES = [
    "adam", "adaptive", "averaging", "chain", "clipping", "momentum", "schedules", "weight_decay",
]  # fmt: skip


def test_every_public_function_of_the_modules_is_here():
    listed = set()
    for name in MODULES:
        module = importlib.import_module(f"mlmath.optimize.{name}")
        listed |= {n for n in module.__all__ if not n.endswith("State") and n != "increment"}
    assert set(first_order.__all__) == listed
