"""Stochastic gradient methods: each step sees a few examples, drawn anew by their weights.

The objective is the weighted mean of the loss ℓ of ONE example, and a batch of B examples drawn
with replacement, each with probability proportional to its weight, has a mean with that
expectation:

    L(θ) = Σᵢ sᵢ ℓ(θ, xᵢ, yᵢ) / Σᵢ sᵢ                                          (1)
    P(i) = sᵢ / Σⱼ sⱼ,        gₜ = (1/B) Σ_{i in batch t} ∇ℓ(θₜ, xᵢ, yᵢ),  E gₜ = ∇L(θₜ)      (2)
    (uₜ, oₜ₊₁) = update(gₜ, oₜ, θₜ),        θₜ₊₁ = θₜ + uₜ                        (3)

with any optimizer in (3). All that step t draws comes from the key fold_in(key, t), so that the
position of a run is (key, t): two runs of 50 steps are one of 100, bit for bit on one machine and
version, and a run that was stopped goes on from its :class:`State` as if it had not been.

The law of the weights is *in distribution*: 2 is the row twice, 0 is the row absent, never drawn
whatever it holds, NaN included. No weight at all, or one that is negative or not finite, makes
every loss NaN. With n rows and dtype precision ε, P(i) is off by a factor 1 ± nε Σs/(n sᵢ).
A draw is discrete: the derivative in s is zero. Derivatives in all else, the numbers of the
optimizer and the first parameters among them, go through the steps.

Time: B gradients per step, and O(n) once per run. Memory: the state and B examples.

>>> import jax, jax.numpy as jnp
>>> from mlmath.optimize import first_order, stochastic
>>> def loss(params, x, y):
...     return (params @ x - y) ** 2
>>> X = jax.random.normal(jax.random.key(0), (200, 2))
>>> y = X @ jnp.array([1.0, -2.0])
>>> optimizer = first_order.adam(0.1)
>>> state = stochastic.init(jax.random.key(1), jnp.zeros(2), optimizer)
>>> state, losses = stochastic.run(loss, optimizer, state, X, y, steps=300)
>>> print(int(state.step), losses.shape, state.params.round(2))
300 (300,) [ 1. -2.]

References:
    Bottou, Curtis & Nocedal (2018), Optimization methods for large-scale machine learning, §3.1
        and §4, for (2) and (3).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Shaped

from mlmath.arrays import Key, Real
from mlmath.compiled import as_argument, compiled
from mlmath.optimize import chain

__all__ = ["State", "init", "run", "step"]


class State(NamedTuple):
    """Position of a run, all that the next step needs."""

    key: Key  # typed; the same at every step
    params: Any  # θ
    optimizer: Any  # o, its state
    step: Int[Array, ""]  # t


class _Rows(NamedTuple):
    X: Any
    y: Any
    edges: Any  # partial sums of the weights, in which rounding gives a row of weight 0 no room
    sound: Any  # 1, or NaN if the weights are no weights


def init(key: Key, params: Any, optimizer: chain.Optimizer) -> State:
    """Position 0.

    Args:
        key: a typed key, from which every batch of the run is drawn.
        params: θ₀.
        optimizer: the method of (3).
    """
    params = jax.tree.map(jnp.array, params)
    return State(key, params, optimizer.init(params), jnp.zeros((), jnp.int32))


def step(
    loss: Callable[..., Any],
    optimizer: chain.Optimizer,
    state: State,
    X: Shaped[Real, "n ..."],
    y: Shaped[Real, "n ..."],
    *,
    sample_weight: Float[Real, " n"] | None = None,
    batch_size: int = 32,
) -> tuple[State, Float[Array, ""]]:
    """One step (3), and the mean loss of its batch before it; arguments as for :func:`run`."""
    return _step(loss, optimizer, _rows(X, y, sample_weight), batch_size, state)


def run(
    loss: Callable[..., Any],
    optimizer: chain.Optimizer,
    state: State,
    X: Shaped[Real, "n ..."],
    y: Shaped[Real, "n ..."],
    *,
    sample_weight: Float[Real, " n"] | None = None,
    batch_size: int = 32,
    steps: int = 100,
) -> tuple[State, Float[Array, " steps"]]:
    """Take steps in one compiled program; return the state and the losses of the batches.

    New numbers in the optimizer, in the state or in a ``loss`` that is a ``Partial`` compile
    nothing.

    Args:
        loss: ℓ(params, x, y) of ONE example.
        optimizer: the method; one of optax's through ``chain.from_optax``.
        state: from :func:`init` or from an earlier run.
        X: examples, one per row.
        y: their targets.
        sample_weight: sᵢ, ones if None.
        batch_size: B; fixes a shape.
        steps: how many; fixes a shape.

    Raises:
        ValueError: if there are no rows, a batch holds none, or ``steps`` is negative.
    """
    return _run(
        as_argument(loss), optimizer, state, X, y, sample_weight,
        batch_size=batch_size, steps=steps,
    )  # fmt: skip


@compiled(static=("batch_size", "steps"))
def _run(loss, optimizer, state, X, y, sample_weight, *, batch_size, steps):
    if steps < 0:
        raise ValueError(f"steps must be 0 or more, got {steps}.")
    rows = _rows(X, y, sample_weight)

    def one(state, _):
        return _step(loss, optimizer, rows, batch_size, state)

    return lax.scan(one, state, length=steps)


def _rows(X, y, weight):
    if X.shape[0] == 0:
        raise ValueError("X must have at least one row, got none.")
    weight = jnp.ones(X.shape[0]) if weight is None else lax.stop_gradient(jnp.asarray(weight))
    edges = lax.cummax(jnp.where(weight > 0, jnp.cumsum(weight), 0))
    sound = (weight >= 0).all() & jnp.isfinite(edges[-1]) & (edges[-1] > 0)
    return _Rows(jnp.asarray(X), jnp.asarray(y), edges, jnp.where(sound, 1, jnp.nan))


def _draw(rows, batch_size, state):
    """Rows of batch t, by (2): the one on whose stretch of [0, Σs) a uniform place falls."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    key = jax.random.fold_in(state.key, state.step)
    total = rows.edges[-1]
    place = jax.random.uniform(key, (batch_size,), total.dtype) * total
    inside = jnp.minimum(place, jnp.nextafter(total, jnp.zeros_like(total)))
    return jnp.searchsorted(rows.edges, inside, side="right")


def _step(loss, optimizer, rows, batch_size, state):
    i = _draw(rows, batch_size, state)
    x, y = rows.X[i], rows.y[i]

    def mean(params):
        losses = jax.vmap(loss, (None, 0, 0))(params, x, y)
        return jnp.mean(losses) * jnp.asarray(rows.sound, losses.dtype)

    value, grads = jax.value_and_grad(mean)(state.params)
    updates, after = optimizer.update(grads, state.optimizer, state.params)
    params = chain.apply(state.params, updates)
    return State(state.key, params, after, chain.increment(state.step)), value
