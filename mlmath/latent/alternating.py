"""Alternating minimisation of what is quadratic in the rows and quadratic in the columns.

A matrix of which entries e = (u, i) are known is approximated by products of a vector zᵤ of its
row and a vector f of its column. With the f fixed, an objective that is a sum over entries of
½ aₑ (zᵤᵀfₑ)² − βₑ zᵤᵀfₑ and of ½ zᵤᵀ R zᵤ parts into one small system for each row,

    Aᵤ = R + Σₑ aₑ fₑ fₑᵀ,        hᵤ = Σₑ βₑ fₑ        over the entries of u     (1)
    zᵤ* = Aᵤ⁻¹ hᵤ                                                              (2)

and the step from z to z* lowers it by exactly

    L(z) − L(z*) = ½ Σᵤ (zᵤ − zᵤ*)ᵀ Aᵤ (zᵤ − zᵤ*)                                (3)

A sweep solves for the rows P, then for the columns Q. Between the two they are brought to where

    P′Q′ᵀ = PQᵀ = UΣVᵀ,    P′ = UΣ^½,    Q′ = VΣ^½                              (4)

which have the least ‖P‖² + ‖Q‖² of all with this product: where penalties are small the sweeps
alone would be long about it. At the answer PᵀP = QᵀQ is diagonal. What the rows' step of the next
sweep is to gain, (3) over L(null), is the gap: the columns stand where they are best, so that it
is 0 only where the gradient is. No other minimum is excluded, and as the descent is linear a
lower L can still be many steps away. A step that leaves the finite numbers is not taken, and its
gain is NaN.

Time O(e r² + m r³) for m rows and r numbers in each vector, memory O(m r²) and a block of entries
(on an accelerator all of them: ``linalg.gram``).
Entries that are sharded over devices stay where they are: the sums (1) are reduced.

>>> import jax.numpy as jnp
>>> from mlmath.latent import alternating
>>> A, h = alternating.normal_equations(
...     jnp.array([0, 0, 1]), jnp.array([0, 1, 1]), jnp.ones(3), jnp.array([1.0, 2.0, 3.0]),
...     jnp.array([[1.0], [2.0]]), 2)
>>> print(A.ravel(), h.ravel())
[5. 4.] [5. 6.]
>>> print(alternating.solve(A, h, jnp.zeros((2, 1)))[0].ravel())
[1.  1.5]

References:
    Koren, Bell & Volinsky (2009), Matrix factorization techniques for recommender systems,
        IEEE Computer 42(8), p. 45 (alternating least squares).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float, Int

from mlmath.absence import cleared, within
from mlmath.arrays import Count, Real, Scalar
from mlmath.linalg.gram import row_sum
from mlmath.statistics.weights import known, present_weight

__all__ = [
    "Descent",
    "balanced",
    "minimize",
    "normal_equations",
    "present_entries",
    "present_in_block",
    "solve",
    "stationary",
]

_BLOCK = 2**20  # most numbers of (1) at a time


class Descent(NamedTuple):
    """Where :func:`minimize` ended."""

    params: Any
    gain: Float[Array, ""]  # what the next step is sure to gain
    steps: Int[Array, ""]  # sweeps taken


def present_entries(
    rows: Int[Real, " e"],
    columns: Int[Real, " e"],
    values: Float[Real, " e"],
    sample_weight: Float[Real, " e"] | None,
    shape: tuple[int, int],
) -> tuple[Int[Array, " e"], Int[Array, " e"], Float[Array, " e"], Float[Array, " e"]]:
    """Entries that count as finite numbers at places that exist, and their weights.

    An entry of weight 0 is absent, whatever and wherever it is; one that counts and is not
    finite, or outside of the matrix, has the weight NaN, and so have all if all weights are 0.
    """
    rows, columns, values, weight = present_in_block(rows, columns, values, sample_weight, shape)
    return rows, columns, values, known(weight, jnp.ones_like(weight, bool))


def present_in_block(
    rows: Int[Real, " e"],
    columns: Int[Real, " e"],
    values: Float[Real, " e"],
    sample_weight: Float[Real, " e"] | None,
    shape: tuple[int, int],
) -> tuple[Int[Array, " e"], Int[Array, " e"], Float[Array, " e"], Float[Array, " e"]]:
    """Those of :func:`present_entries` for a part of all entries, of which none need count."""
    if rows.shape[0] == 0:
        raise ValueError("there must be at least one entry, got none.")
    rows, columns, values = jnp.asarray(rows), jnp.asarray(columns), jnp.asarray(values)
    weight = present_weight(values[:, None], sample_weight)
    inside = _inside(rows, shape[0]) & _inside(columns, shape[1])
    _, values, weight = cleared(values[:, None], values, weight)
    values = within(values[:, None], weight, jnp.zeros_like(values[:1]))[:, 0]
    rows, columns = (jnp.where(inside, a, 0) for a in (rows, columns))
    return rows, columns, values, weight + jnp.where(~inside & (weight != 0), jnp.nan, 0)


def normal_equations(
    places: Int[Real, " e"],
    others: Int[Real, " e"],
    curvature: Float[Real, " e"],
    slope: Float[Real, " e"],
    factors: Float[Real, "n r"],
    size: int,
) -> tuple[Float[Array, "m r r"], Float[Array, "m r"]]:
    """Sums over entries of (1), without R.

    Args:
        places: u of each entry, whose vectors are sought.
        others: i of each entry, whose vectors are known.
        curvature: aₑ.
        slope: βₑ.
        factors: the vectors f of all i.
        size: m, how many u there are.
    """
    factors = jnp.asarray(factors)
    r = factors.shape[1]
    i, j = np.triu_indices(r)
    sums = row_sum(
        partial(_sums, size=size), (places, others, curvature, slope), factors,
        block=max(1, _BLOCK // len(i)),
    )  # fmt: skip
    place = np.zeros((r, r), int)
    place[i, j] = place[j, i] = np.arange(len(i))
    return sums[0][:, place], sums[1]


def solve(
    A: Float[Real, "m r r"], h: Float[Real, "m r"], z: Float[Real, "m r"]
) -> tuple[Float[Array, "m r"], Float[Array, ""]]:
    """The vectors z*, eq. (2), and what the step to them gains, eq. (3); NaN if A is singular."""
    factor = jnp.linalg.cholesky(A)
    best = cho_solve((factor, True), jnp.asarray(h)[:, :, None])[:, :, 0]
    apart = jnp.einsum("uij,ui->uj", factor, z - best)
    return best, jnp.sum(apart**2) / 2


def balanced(
    P: Float[Real, "m r"], Q: Float[Real, "n r"]
) -> tuple[Float[Array, "m r"], Float[Array, "n r"]]:
    """P′ and Q′ of eq. (4); P and Q where the columns of P are nearly dependent."""
    P, Q = jnp.asarray(P), jnp.asarray(Q)
    A, B = P.T @ P, Q.T @ Q
    values, vectors = jnp.linalg.eigh(A)
    least = values[-1] * (P.shape[1] * jnp.finfo(A.dtype).eps) ** 0.5
    sound = values[0] > least
    values = jnp.where(sound, values, 1)
    root = (vectors * jnp.sqrt(values)[None]) @ vectors.T
    squares, turn = jnp.linalg.eigh(root @ B @ root)
    inverse = (vectors / jnp.sqrt(values)[None]) @ vectors.T
    lengths = jnp.maximum(squares, 0)[None] ** 0.25
    lost = lengths == 0  # what Q has nothing of
    first, second = P @ inverse @ (turn * lengths), Q @ root @ (turn / jnp.where(lost, 1, lengths))
    return jnp.where(sound, first, P), jnp.where(sound, jnp.where(lost, 0, second), Q)


def minimize(
    propose: Callable[..., Any],
    finish: Callable[..., Any],
    start: Any,
    null_value: Scalar,
    tolerance: Scalar,
    max_steps: Count,
    *data: Any,
) -> Descent:
    """Sweep until what the next step gains is at most ``tolerance`` of L(null).

    Args:
        propose: (params, *data) ↦ what the first half of a sweep leads to, and its gain (3).
        finish: (what that was, *data) ↦ params, the other half.
        start: first params.
        null_value: L of the null model.
        tolerance: largest gain over L(null) that ends the descent.
        max_steps: most sweeps.
        data: what both are given besides.
    """
    start, data, null_value = lax.stop_gradient((start, data, null_value))

    def going(state):
        _, _, gain, steps, sound = state
        return sound & (gain > tolerance * null_value) & (steps < max_steps)

    def sweep(state):
        params, half, gain, steps, _ = state
        new = finish(half, *data)
        then = propose(new, *data)
        sound = _finite((new, then))
        new = jax.tree.map(lambda a, b: jnp.where(sound, a, b), (new, *then), (params, half, gain))
        return *new, steps + sound, sound

    half, gain = propose(start, *data)
    state = start, half, gain, jnp.zeros((), jnp.int32), _finite((start, half, gain))
    params, _, gain, steps, sound = lax.while_loop(going, sweep, state)
    return Descent(params, jnp.where(sound, gain, jnp.nan), steps)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def stationary(
    objective: Callable[..., Any], params: Any, places: tuple[Any, ...], numbers: tuple[Any, ...]
) -> Float[Array, ""]:
    """``objective(params, *places, *numbers)`` at a stationary point, by the envelope theorem.

    Its derivative is the partial one in ``numbers``: the gradient in ``params`` is 0, and what
    rounding leaves of it need not be orthogonal to rotations of the factors.
    """
    return objective(params, *places, *numbers)


@stationary.defjvp
def _(objective, primals, tangents):
    params, places, numbers = primals
    tangent = jax.jvp(lambda *n: objective(params, *places, *n), numbers, tangents[2])[1]
    return stationary(objective, *primals), tangent


def _inside(places, size):
    return (places >= 0) & (places < size)


def _sums(places, others, curvature, slope, factors, *, size):
    """Sums of one block: the upper triangles of A, and h."""
    f = factors[others]
    i, j = np.triu_indices(f.shape[1])
    products = lax.optimization_barrier(curvature[:, None] * f[:, i] * f[:, j])
    return tuple(
        jax.ops.segment_sum(a, places, num_segments=size) for a in (products, slope[:, None] * f)
    )


def _finite(tree):
    return jnp.stack([jnp.isfinite(a).all() for a in jax.tree.leaves(tree)]).all()
