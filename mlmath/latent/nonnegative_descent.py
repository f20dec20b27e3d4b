"""The descent of non-negative factorisations: codes exactly, then components, and again.

With codes wᵢ of the rows, exact for the components H (``latent.nonnegative_codes``), and

    A = Σᵢ sᵢ wᵢᵀwᵢ,        B = Σᵢ sᵢ wᵢᵀxᵢ                                      (1)

the objective is that of non-negative least squares in H besides, which one row of H after the other
lowers by what it is sure to gain (``linalg.nonnegative_least_squares``, eq. 2 and 3):

    hⱼ ← max(0, hⱼ + (B − AH)ⱼ / Aⱼⱼ),        j = 1 … k                          (2)

:func:`sweeps` goes through them several times: A and B are the greater cost. A component that no
row uses has Aⱼⱼ = 0, and (2) leaves it. With rᵢ = xᵢ − wᵢH after the sweeps, the first such one is
put on what the worst row misses, which then gains exactly the sum besides,

    hⱼ ← (r_f)₊ / ‖(r_f)₊‖,   f = argmaxᵢ ‖(rᵢ)₊‖,        ½ Σᵢ sᵢ (rᵢᵀhⱼ)₊²           (3)

f the first of equals, of the rows with sᵢ > ε in the unit of weights: lengths do not know how often
a row is repeated. New codes can only lower L again, so that no step raises it, and a step gains at
least what (2) and (3) do. Steps end where that, and what codes lack where their own steps did not
suffice, is at most the tolerance times L(null) = ½ Σᵢ sᵢ‖xᵢ‖²; below (8ε)² L(null) it is rounding,
and 0.

Between steps components are brought to length 1, and codes to theirs:

    hⱼ ← hⱼ/‖hⱼ‖,        w_ij ← w_ij ‖hⱼ‖                                        (4)

Rows and weights are measured in powers of two above the largest, so that their squares stay within
the dtype.

>>> import jax.numpy as jnp
>>> from mlmath.latent import nonnegative_descent as descent
>>> data = descent.frame(jnp.array([[2.0, 0.0], [2.0, 2.0], [0.0, 1.0]]), jnp.ones(3))
>>> rule = lambda A, B, H, ahead: ahead
>>> found = descent.descend(rule, jnp.array([[1.0, 0.5], [0.5, 1.0]]), data, 1e-9, 100)
>>> print(found.components.round(2), found.codes.T.round(2))
[[1. 0.]
 [0. 1.]] [[0.5  0.5  0.  ]
 [0.   0.5  0.25]]

References:
    Cichocki & Phan (2009), Fast local algorithms for large scale nonnegative matrix and tensor
        factorizations, IEICE Transactions E92-A(3), §3 (eq. 2).
    Gillis & Glineur (2012), Accelerated multiplicative updates and hierarchical ALS algorithms for
        nonnegative matrix factorization, Neural Computation 24(4), §3 (several sweeps in a step).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from mlmath.absence import within
from mlmath.arrays import Count, Real, Scalar
from mlmath.latent import alternating, nonnegative_codes
from mlmath.linalg import gram, nonnegative_least_squares
from mlmath.statistics.weights import known

__all__ = ["Data", "Found", "descend", "frame", "measured", "normal", "refuse", "sweeps"]

_SWEEPS = 4  # eq. (2) in one step


class Found(NamedTuple):
    """Where the steps ended."""

    components: Float[Array, "k d"]  # H, of length 1
    codes: Float[Array, "n k"]  # of the rows of Data
    gain: Float[Array, ""]  # of (2), (3) and codes, in the unit of Data; NaN if nothing is proved
    steps: Int[Array, ""]


class Data(NamedTuple):
    """Rows and weights in units in which the largest are between ½ and 1."""

    X: Float[Array, "n d"]
    weight: Float[Array, " n"]
    unit: Float[Array, ""]  # of rows
    share: Float[Array, ""]  # of weights
    null: Float[Array, ""]  # L(null) in the unit of L, unit² · share


def refuse(k: int, X: Float[Real, "n d"]) -> None:
    """Refuse a number of components that is not from 1 to the smaller of n and d."""
    if 0 in X.shape:
        raise ValueError(f"X must have at least one row and one column, got {X.shape}.")
    if not 1 <= k <= min(X.shape):
        raise ValueError(f"k must be from 1 to {min(X.shape)}, the smaller of n and d, got {k}.")


def frame(X: Float[Real, "n d"], weight: Float[Real, " n"]) -> Data:
    """Rows and weights in their units; a weight is NaN where a negative entry counts."""
    return measured(X, known(weight, jnp.ones_like(weight, bool)))


def measured(X: Float[Real, "n d"], weight: Float[Real, " n"]) -> Data:
    """:func:`frame` of rows of which none need count."""
    X, weight = jnp.asarray(X), jnp.asarray(weight)
    counts = weight != 0
    weight = weight + jnp.where(counts & ~((X >= 0) & jnp.isfinite(X)).all(axis=1), jnp.nan, 0)
    unit = lax.stop_gradient(_above(jnp.where(counts[:, None], X, 0)))
    share = lax.stop_gradient(_above(weight))
    X, weight = jnp.asarray(X / unit), jnp.asarray(weight / share)
    X = within(X, weight, jnp.zeros_like(X[0]))
    return Data(X, weight, unit, share, gram.row_sum(_half_squares, (X, weight)))


def normal(components: Float[Real, "k d"]) -> Float[Array, "k d"]:
    """Rows in the normal form (4); a row of zeros stays."""
    H = jnp.asarray(components)
    top = jnp.max(jnp.abs(H), axis=1, keepdims=True)
    H = H / jnp.where(top > 0, top, 1)
    length = jnp.linalg.norm(H, axis=1, keepdims=True)
    return H / jnp.where(length > 0, length, 1)


def sweeps(
    A: Float[Real, "k k"], B: Float[Real, "k d"], components: Float[Real, "k d"]
) -> tuple[Float[Array, "k d"], Float[Array, ""]]:
    """Sweeps (2) and what they gain."""
    H = jnp.asarray(components)

    def again(_, state):
        H, gained = nonnegative_least_squares.sweep(A, B, state[0])
        return H, state[1] + jnp.sum(gained)

    return lax.fori_loop(0, _SWEEPS, again, (H, jnp.zeros_like(H[0, 0])))


def descend(
    rule: Callable[..., Any],
    components: Float[Real, "k d"],
    data: Data,
    tolerance: Scalar,
    max_steps: Count,
) -> Found:
    """Steps until one would gain at most ``tolerance`` of L(null); without a derivative.

    Args:
        rule: (A, B, H, H after (2) and (3)) ↦ the next H.
        components: H ≥ 0 where it begins.
        data: rows and weights.
        tolerance: largest gain over L(null) that ends the steps.
        max_steps: most steps.
    """
    refuse(len(components), data.X)
    H = jnp.asarray(components, data.X.dtype)
    H = normal(jnp.where((H < 0).any(), jnp.nan, H))
    start = H, jnp.zeros_like(data.X @ H.T)
    found = alternating.minimize(
        partial(_propose, rule), _finish, start, data.null, tolerance, max_steps, data
    )
    H, W = found.params
    sound = (data.weight >= 0).all()
    lost = 0 * jnp.sum(data.weight)  # NaN if no answer exists
    W = nonnegative_codes.of_rows(H, data.X, start=W).codes
    return lax.stop_gradient(Found(H + lost, W, jnp.where(sound, found.gain, jnp.nan), found.steps))


def _propose(rule, params, data):
    """The next components with codes of these, and what a step gains."""
    H, W = params
    W, lacking = nonnegative_codes.of_rows(H, data.X, start=W)
    A, B = nonnegative_codes.products(W, data.X, data.weight)
    rounding = (8 * jnp.finfo(H.dtype).eps) ** 2 * data.null
    ahead, gain = sweeps(A, B, H)
    ahead, more = _placed(ahead, W, jnp.diag(A) > 0, data, rounding)
    gain = gain + more + data.weight @ lacking
    return (rule(A, B, H, ahead), W), jnp.where(gain <= rounding, 0, gain)


def _placed(H, W, used, data, rounding):
    """The first component that is not used where (3) puts it, if that gains, and what it gains."""
    k, n = len(H), len(W)
    first = jnp.min(jnp.where(used, k, jnp.arange(k)))
    index = jnp.arange(n, dtype=jnp.int32)

    def place(state):
        H, _, _ = state
        squares = jnp.sum(jnp.maximum(data.X - W @ H, 0) ** 2, axis=1)
        squares = jnp.where(data.weight > jnp.finfo(H.dtype).eps, squares, -1)
        f = jnp.min(jnp.where(squares >= jnp.max(squares), index, n - 1))
        x, w = (a.at[f[None]].get(mode="clip") for a in (data.X, W))
        h = normal(jnp.maximum(x - w @ H, 0))
        along = data.X @ h[0] - W @ (H @ h[0])
        gain = data.weight @ jnp.maximum(along, 0) ** 2 / 2
        here = (jnp.arange(k) == first) & (gain > rounding)
        return jnp.where(here[:, None], h, H), gain, jnp.zeros((), bool)

    return lax.while_loop(lambda s: s[2], place, (H, jnp.zeros_like(rounding), first < k))[:2]


def _finish(half, data):
    """The normal form (4)."""
    H, W = half
    length = jnp.linalg.norm(H, axis=1)
    return normal(H), W * jnp.where(length > 0, length, 1)[None]


def _above(a):
    """Power of two above the largest modulus."""
    top = jnp.max(jnp.abs(a))
    usable = jnp.isfinite(top) & (top > 0)
    return jnp.ldexp(jnp.ones_like(top), jnp.frexp(jnp.where(usable, top, 1))[1])


def _half_squares(X, weight):
    return weight @ jnp.sum(X**2, axis=1) / 2
