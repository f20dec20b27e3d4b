"""PCA of rows with missing entries over a stream of blocks that are never together in memory.

From the model (μ, W, σ²) of ``latent.incomplete_pca`` a step of expectation–maximisation needs sums
over the rows, ``latent.parameter_expansion``, eq. (4), and those of two blocks add up to those of
both. Here they are about the model itself: of the entries that are observed, mᵢⱼ = 1,

    zᵢⱼ = (xᵢⱼ − μⱼ)/σ,        the model (0, W/σ, 1) of z                           (1)

so that nothing is lost to where the origin lies, and squares stay within the dtype in any units.
From the sums of all blocks follow the step, eq. (4)–(6) there, what it is sure to gain, (7) there,
and L of the model that was given: with L_z that of (1) and N = Σᵢⱼ sᵢmᵢⱼ,

    L = L_z + N log σ                                                           (2)

The null model has the means of the columns and is alike in all directions. It needs no other sums,
for with the residuals rᵢⱼ = mᵢⱼ(zᵢⱼ − wⱼᵀt̂ᵢ/σ) those of z are Σᵢ sᵢrᵢⱼ + wⱼᵀ Σᵢ sᵢmᵢⱼt̂ᵢ/σ, and

    L(null) = ½ N (1 + log 2πv),    v = Σⱼ [Σᵢ sᵢmᵢⱼzᵢⱼ² − (Σᵢ sᵢmᵢⱼzᵢⱼ)²/Nⱼ] / N          (3)

where Nⱼ counts the entries of column j. The gap is what the step is sure to gain, over L(null) − L
plus that. A pass is therefore a step of ``incomplete_pca.fit`` to rounding, with its certificate,
and a stream ends where the fit does.

The next step begins at the principal axes, as the answer of the fit has them: a rotation of W
changes neither L nor where steps lead. Columns that no block observes have the mean NaN and
loadings 0. Rows that observe nothing, and rows of weight 0 whatever they hold, are absent. A
negative weight, an observed NaN that counts, no entry at all, and rows in a plane, which leave no
noise, make the gap NaN, and there is no next step. Where L is NaN, too, though all rows count as
numbers, the fit would not have taken the step before.

Everything is differentiable in the rows and the weights with the model fixed, but for where two
lengths of W are equal.

Time O(n(dk² + k³)) for the rows of a block, memory a block and O(dk²).

>>> import jax.numpy as jnp
>>> from mlmath.latent import incomplete_pca, incomplete_pca_stream
>>> first = jnp.array([[0.0, 0.1], [2.0, 1.9], [6.0, 6.1]])
>>> blocks = [first, jnp.array([[4.0, jnp.nan], [8.0, 7.9]])]
>>> params = incomplete_pca.init(first, k=1)
>>> for _ in range(40):
...     sums = [incomplete_pca_stream.summarize(params, X, observed=X == X) for X in blocks]
...     step = incomplete_pca_stream.solve(params, incomplete_pca_stream.merge(*sums))
...     params = step.ahead
>>> print(step.certificate.converged, step.params.mean.round(3))
True [4. 4.]

References:
    Tipping & Bishop (1999), Probabilistic principal component analysis, Journal of the Royal
        Statistical Society B 61(3), appendix B (EM).
    Liu, Rubin & Wu (1998), Parameter expansion to accelerate EM: the PX-EM algorithm, Biometrika
        85(4), §4.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from mlmath.arrays import Real, Scalar
from mlmath.certificate import Certificate, certify
from mlmath.compiled import compiled
from mlmath.latent import parameter_expansion
from mlmath.latent.incomplete_pca import Params, present, within_reach
from mlmath.latent.parameter_expansion import Point, Sums

__all__ = ["Step", "Sums", "merge", "solve", "summarize"]


class Step(NamedTuple):
    """Outcome of :func:`solve`."""

    params: Params  # as given
    certificate: Certificate  # of these: gap, what the step is sure to gain / (L(null) − L + that)
    ahead: Params  # where the next step begins, along its principal axes


@compiled()
def summarize(
    params: Params,
    X: Float[Real, "n d"],
    *,
    observed: Bool[Real, "n d"] | None = None,
    sample_weight: Float[Real, " n"] | None = None,
) -> Sums:
    """Sums of one block of rows about the model, in its units (1); NaN with a negative weight.

    Args:
        params: the model, the same for all blocks of a step.
        X: rows of the block.
        observed: which entries are known; the others may hold anything. All if None.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
    """
    X, M, weight = present(X, observed, sample_weight)
    mean, _, noise = params = _of_dtype(params, X)
    X, M = within_reach(X, M, weight, mean, jnp.sqrt(noise))
    Z = jnp.where(M != 0, (X - mean[None]) / jnp.sqrt(noise), 0)
    weight = weight + jnp.where((weight < 0).any(), jnp.nan, 0)
    return parameter_expansion.sums(_standard(params), Z, M, weight)


def merge(first: Sums, second: Sums) -> Sums:
    """Sums of two blocks, or sets of blocks, together."""
    return jax.tree.map(jnp.add, first, second)


@compiled()
def solve(params: Params, sums: Sums, *, tolerance: Scalar | None = None) -> Step:
    """Step from the model that the sums are about, and what it is worth.

    Args:
        params: the model.
        sums: of all rows.
        tolerance: largest gap that counts as converged; ε^(4/3) of the dtype if None.
    """
    sums = jax.tree.map(jnp.asarray, sums)
    params = _of_dtype(params, sums.pull)
    point, unknown = _standard(params), sums.moments[1:, 0] == 0
    point = point._replace(coefficients=jnp.where(unknown[:, None], 0, point.coefficients))
    state = parameter_expansion.of_sums(sums, point)
    null = _null_value(sums, point)
    if tolerance is None:
        tolerance = float(jnp.finfo(sums.pull.dtype).eps) ** (4 / 3)
    certificate = certify(
        sums.value + sums.entries * jnp.log(params.noise) / 2,
        state.excess,
        jnp.maximum(null - sums.value, 0) + state.excess,
        tolerance=tolerance,
    )
    (beta, noise), unit = parameter_expansion.principal(state.image), jnp.sqrt(params.noise)
    mean = jnp.where(unknown, jnp.nan, params.mean + unit * beta[:, 0])
    ahead = Params(mean, unit * beta[:, 1:].T, params.noise * noise)
    return Step(params, certificate, jax.tree.map(lambda a: a + 0 * sums.value, ahead))


def _of_dtype(params, example):
    params = Params(*(jnp.asarray(a, example.dtype) for a in params))
    k, d = params.loadings.shape
    if not 1 <= k < d:
        raise ValueError(f"the loadings must be 1 to {d - 1}, below d, got {k}.")
    return params


def _standard(params):
    """The model of z, eq. (1)."""
    W = params.loadings.T / jnp.sqrt(params.noise)
    return Point(jnp.pad(W, ((0, 0), (1, 0))), jnp.ones_like(params.noise))


def _null_value(sums, point):
    """L(null), eq. (3)."""
    counts, scores = sums.moments[1:, 0], sums.moments[1:, 1 : point.coefficients.shape[1]]
    shifts = sums.pull[:, 0] + jnp.sum(point.coefficients[:, 1:] * scores, axis=1)
    between = jnp.sum(shifts**2 / jnp.where(counts == 0, 1, counts))
    least = jnp.finfo(shifts.dtype).eps * sums.size  # the rounding of a difference
    variance = jnp.maximum(sums.size - between, least) / sums.entries
    return sums.entries / 2 * (1 + jnp.log(2 * math.pi * variance))
