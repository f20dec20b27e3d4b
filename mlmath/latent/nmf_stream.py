"""Steps of non-negative matrix factorisation over a stream of blocks of rows.

For components H of length 1 a block of rows xᵢ with weights sᵢ has its codes wᵢ, exact
(``latent.nonnegative_codes``, eq. 1), whatever the other blocks hold, so that the sums

    A = Σᵢ sᵢ wᵢᵀwᵢ,    B = Σᵢ sᵢ wᵢᵀxᵢ,    L = ½ Σᵢ sᵢ‖xᵢ − wᵢH‖²,    N = ½ Σᵢ sᵢ‖xᵢ‖²    (1)

of two blocks add up to those of both, and so does what codes lack whose own steps did not suffice.
From the sums of all blocks follow the sweeps over the components, ``latent.nonnegative_descent``,
eq. (2), and what they are sure to gain; L is the objective of H and N that of the null model.

A component that no row uses, with Aⱼⱼ = 0, needs a row that misses much, which is gone when that is
known. Each block therefore hands on its worst one, with its codes and what it counts for,

    f = argmaxᵢ ‖(xᵢ − wᵢH)₊‖,        s_f = Σᵢ sᵢ over the rows that are equal to x_f       (2)

of two blocks the worse of both, and where it is the same row s_f adds up. The first component that
is not used goes where it is missed after the sweeps, H⁺, if that gains anything, and that is
at least the share of this row in the sum which ``latent.nonnegative_descent``, eq. (3), has:

    hⱼ ← (r_f)₊/‖(r_f)₊‖,    r_f = x_f − w_f H⁺,        ½ s_f ‖(r_f)₊‖²                  (3)

The gap is what the sweeps gain, (3) and what codes lack, over N: that of ``nmf.fit``, but less
where a component is not used. In a step of the fit f is the worst row after the sweeps, here before
them, and where that row alone gains no more than rounding the component stays. Else a pass is a
step of ``nmf.fit`` to rounding, and a stream ends where the fit does.

Rows and weights of a block are measured in powers of two above its largest, and the sums of two
blocks in the larger of their units, so that squares stay within the dtype; only the objective
itself is in the units of the rows.

A row of weight 0 is absent, whatever it holds; one that counts and is negative or NaN, and a
negative weight, make the gap NaN. With the zeros of codes and components fixed everything is
differentiable in the rows and the weights.

Time O(ndk) for the rows of a block and what their codes take, memory a few times the block.

>>> import jax.numpy as jnp
>>> from mlmath.latent import nmf, nmf_stream
>>> blocks = [jnp.array([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]]), jnp.array([[0.0, 0.0, 3.0]])]
>>> params = nmf.Params(jnp.array([[1.0, 0.5, 0.5], [0.0, 0.5, 1.0]]))
>>> for _ in range(40):
...     sums = [nmf_stream.summarize(params, X) for X in blocks]
...     step = nmf_stream.solve(params, nmf_stream.merge(*sums))
...     params = step.ahead
>>> print(params.components.round(3), step.certificate.converged)
[[0.707 0.707 0.   ]
 [0.    0.    1.   ]] True

References:
    Cichocki & Phan (2009), Fast local algorithms for large scale nonnegative matrix and tensor
        factorizations, IEICE Transactions E92-A(3), §3.
    Mairal, Bach, Ponce & Sapiro (2010), Online learning for matrix factorization and sparse coding,
        JMLR 11, §3.4 (A and B as what is known of the rows that are gone).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Real, Scalar
from mlmath.certificate import Certificate, certify, first_order_tolerance
from mlmath.compiled import compiled
from mlmath.latent import alternating, nonnegative_codes
from mlmath.latent import nonnegative_descent as descent
from mlmath.latent.nonnegative_codes import Params
from mlmath.statistics.weights import present_rows

__all__ = ["Step", "Sums", "Units", "Worst", "merge", "solve", "summarize"]


class Worst(NamedTuple):
    """The row of which most is missed, eq. (2), in the units of the sums."""

    row: Float[Array, " d"]  # x_f
    codes: Float[Array, " k"]  # w_f
    weight: Float[Array, ""]  # s_f
    square: Float[Array, ""]  # ‖(x_f − w_f H)₊‖², or −1 if no row counts


class Units(NamedTuple):
    """Powers of two in which sums are measured."""

    row: Float[Array, ""]
    weight: Float[Array, ""]


class Sums(NamedTuple):
    """What blocks of rows say of components, eq. (1), in their units."""

    A: Float[Array, "k k"]
    B: Float[Array, "k d"]
    missed: Float[Array, ""]  # L
    null: Float[Array, ""]  # N
    lacking: Float[Array, ""]  # what codes would gain still
    weight: Float[Array, ""]  # Σᵢ sᵢ
    worst: Worst
    units: Units


class Step(NamedTuple):
    """Outcome of :func:`solve`."""

    params: Params  # H as given, of length 1
    certificate: Certificate  # of it: gap, what the step is sure to gain / L(null)
    ahead: Params  # where the next step begins


@compiled()
def summarize(
    params: Params, X: Float[Real, "n d"], *, sample_weight: Float[Real, " n"] | None = None
) -> Sums:
    """Sums (1) of one block of rows, and its worst row; NaN with a negative weight.

    Args:
        params: H, the same for all blocks of a step.
        X: rows of the block, without negative entries.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
    """
    X, weight = present_rows(X, sample_weight)
    data = descent.measured(X, weight + jnp.where((weight < 0).any(), jnp.nan, 0))
    X, weight = data.X, data.weight
    H = _normal(params, X)
    found = nonnegative_codes.of_rows(H, X)
    W = nonnegative_codes.attach(found.codes, H, X)
    A, B = nonnegative_codes.products(W, X, weight)
    missed = alternating.stationary(nonnegative_codes.missed, (W,), (), (H, X, weight))
    return Sums(
        A, B, missed, data.null, weight @ found.gain, jnp.sum(weight),
        _worst(H, W, X, weight), Units(data.unit, data.share),
    )  # fmt: skip


@compiled()
def merge(first: Sums, second: Sums) -> Sums:
    """Sums of two blocks, or sets of blocks, together, and the worse of their rows."""
    units = Units(
        _larger(first.units.row, first.null != 0, second.units.row, second.null != 0),
        _larger(first.units.weight, first.weight != 0, second.units.weight, second.weight != 0),
    )
    first, second = _measured(first, units), _measured(second, units)
    added = jax.tree.map(jnp.add, first, second)
    return added._replace(worst=_worse(first.worst, second.worst), units=units)


@compiled()
def solve(params: Params, sums: Sums, *, tolerance: Scalar | None = None) -> Step:
    """Step from the components that the sums are about, and what it is worth.

    Args:
        params: H.
        sums: of all rows.
        tolerance: largest gap that counts as converged; ε^(4/3) of the dtype if None.
    """
    A, B, missed, null, lacking, weight, worst, units = jax.tree.map(jnp.asarray, sums)
    H = _normal(params, B)
    rounding = (8 * jnp.finfo(H.dtype).eps) ** 2 * null
    ahead, gain = descent.sweeps(A, B, H)
    ahead, more = _placed(ahead, jnp.diag(A) > 0, worst, rounding)
    gain = gain + more + lacking
    gain = jnp.where(gain <= rounding, 0, gain)
    lost = jnp.where(weight == 0, jnp.nan, 0 * null)  # NaN if no answer exists
    tolerance = first_order_tolerance(H) ** 2 if tolerance is None else tolerance
    value = missed * units.weight * units.row * units.row
    certificate = certify(value + lost, gain + lost, null, tolerance=tolerance)
    return Step(Params(H), certificate, Params(descent.normal(ahead) + lost))


def _normal(params, X):
    H = jnp.asarray(params.components, X.dtype)
    if not 1 <= H.shape[0] <= H.shape[1]:
        raise ValueError(f"k must be from 1 to d = {H.shape[1]}, got {H.shape[0]}.")
    return descent.normal(jnp.where((H < 0).any(), jnp.nan, H))


def _worst(H, W, X, weight):
    """Eq. (2), the first of equals, of rows with more than ε of the largest weight."""
    squares = jnp.sum(jnp.maximum(X - W @ H, 0) ** 2, axis=1)
    squares = jnp.where(weight > jnp.finfo(H.dtype).eps, squares, -1)
    most, last = jnp.max(squares), len(X) - 1
    f = jnp.min(jnp.where(squares >= most, jnp.arange(len(X)), last))  # moves no sharded row
    row, codes = (a.at[f[None]].get(mode="clip")[0] for a in (X, W))
    same = (row[None] == X).all(axis=1)
    return Worst(row, codes, jnp.sum(jnp.where(same, weight, 0)), most)


def _worse(first, second):
    """The worse of two rows; of one and the same, with both weights."""
    same = (first.row == second.row).all() & (first.square >= 0) & (second.square >= 0)
    ahead = first.square >= second.square
    worst = jax.tree.map(lambda a, b: jnp.where(ahead, a, b), first, second)
    return worst._replace(weight=jnp.where(same, first.weight + second.weight, worst.weight))


def _larger(first, some, second, others):
    """The larger of two units; that of one block if nothing of the other counts."""
    return jnp.where(some & others, jnp.maximum(first, second), jnp.where(others, second, first))


def _measured(sums, units):
    """The same sums in other units."""
    most = jnp.finfo(units.row.dtype).max ** 0.25  # of a block in which nothing counts
    row = jnp.minimum(sums.units.row / units.row, most)
    weight = jnp.minimum(sums.units.weight / units.weight, most)
    x, w, s, square = sums.worst
    worst = Worst(x * row, w * row, s * weight, jnp.where(square < 0, -1, square * row**2))
    squares = jax.tree.map(lambda a: a * (row**2 * weight), sums)
    return squares._replace(weight=sums.weight * weight, worst=worst, units=units)


def _placed(H, used, worst, rounding):
    """The first component that is not used where (3) puts it, if that gains, and what it gains."""
    k = H.shape[0]
    first = jnp.min(jnp.where(used, k, jnp.arange(k)))
    apart = jnp.maximum(worst.row - worst.codes @ H, 0)
    gain = worst.weight * jnp.sum(apart**2) / 2
    here = (jnp.arange(k) == first) & (gain > rounding)
    return jnp.where(here[:, None], descent.normal(apart[None]), H), jnp.where(here.any(), gain, 0)
