"""Cases of ``mlmath.optimize``; the peer is optax."""

from functools import cache

import numpy as np

from benchmarks.case import Case

_RATE, _STEPS = 1e-3, 200


def _numbers():
    """Parameters of a network of 784, 128 and 10 units, and nothing that takes long beside them."""
    rng = np.random.default_rng(0)
    shapes = (128, 784), (128,), (10, 128), (10,)
    return tuple(rng.normal(size=shape).astype(np.float32) for shape in shapes)


def _descend(optimizer, x, apply):
    """Steps down ½‖x‖²."""
    import jax

    def one(carry, _):
        x, state = carry
        updates, state = optimizer.update(x, state, x)
        return (apply(x, updates), state), None

    return jax.lax.scan(one, (x, optimizer.init(x)), length=_STEPS)[0][0]


@cache
def _compiled():
    import jax

    from mlmath.optimize import chain

    return jax.jit(lambda optimizer, x: _descend(optimizer, x, chain.apply))


@cache
def _compiled_optax():
    import jax
    import optax

    return jax.jit(lambda x: _descend(optax.adam(_RATE), x, optax.apply_updates))


def _ours(module, *x):
    return _compiled()(module.adam(_RATE), x)


def _optax(*x):
    return _compiled_optax()(x)


def _flat(x):
    return (np.concatenate([np.ravel(np.asarray(block, float)) for block in x]),)


def _distance(arrays, answer):
    """Relative distance from the same steps in float64."""
    (exact,), (found,) = _exact(), answer if len(answer) == 1 else _flat(answer)
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


@cache
def _exact():
    (x,) = _flat(_numbers())
    m, v = np.zeros_like(x), np.zeros_like(x)
    for t in range(1, _STEPS + 1):
        m, v = 0.9 * m + 0.1 * x, 0.999 * v + 0.001 * x**2
        x = x - _RATE * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return (x,)


CASES = (
    Case(
        "adam", f"{_STEPS} updates of 101,770 numbers f32", "mlmath.optimize.adam", _numbers,
        _ours, _flat, {"optax": _optax},
        "relative distance from the steps in float64", _distance, 1e-4, 0.91, 0.91,
    ),
)  # fmt: skip
