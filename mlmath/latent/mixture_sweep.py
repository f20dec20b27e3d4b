"""How many components: mixtures of several sizes from several starts, in one program.

A mixture of k components is one of K ≥ k of which K − k have the weight 0 and are absent. So all
sizes have one shape, and each size from each start is a lane of one fit. With the log-likelihood ℓ
of a lane, N = Σᵢ sᵢ and p free numbers of its family, k − 1 weights, kd means and the covariances,

    BIC = −2ℓ + p log N                                                        (1)
    AIC = −2ℓ + 2p                                                             (2)

and the mixture with the smallest is chosen; of equal ones the first. With a prior ℓ is taken where
the penalised likelihood is largest. Where a component shrinks onto one row the likelihood has no
maximum, and ℓ is NaN. A lane that runs out of steps has the ℓ of the mixture it came to; its BIC
and AIC are NaN, for such a lane may be on its way to a collapse, and NaN is chosen last.

Time that of the slowest lane times the number of lanes, memory a block of rows
and n numbers for each lane.

>>> import jax, jax.numpy as jnp
>>> from mlmath.latent import full_mixture, mixture_sweep
>>> X = jnp.concatenate([jax.random.normal(jax.random.key(j), (100, 2)) + 9 * j for j in range(3)])
>>> found = mixture_sweep.sweep(
...     full_mixture.FAMILY, jax.random.key(0), X, sizes=(1, 2, 3, 4), seeds=2, prior_rows=1.0)
>>> print(found.sizes[mixture_sweep.best(found.bic)[0]])
3

References:
    Fraley & Raftery (2002), Model-based clustering, discriminant analysis, and density estimation,
        §2.4 (BIC).
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §7.5, §7.7.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mlmath.arrays import Count, Key, Real, Scalar
from mlmath.certificate import Certificate
from mlmath.compiled import compiled
from mlmath.latent import expectation_maximisation, gaussian_mixture, mixture_seeds
from mlmath.statistics.weights import present_rows

__all__ = ["Sweep", "best", "freedom", "sweep"]


class Sweep(NamedTuple):
    """Outcome of :func:`sweep`: for each of m sizes and r starts a mixture, padded to K."""

    params: gaussian_mixture.Params  # each with leading axes (m, r); of absent components weight 0
    certificate: Certificate  # (m, r)
    sizes: Int[Array, " m"]  # k
    freedom: Int[Array, " m"]  # p
    log_likelihood: Float[Array, "m r"]  # ℓ; NaN where it has no maximum
    aic: Float[Array, "m r"]  # NaN where the fit has not converged, and so is the next
    bic: Float[Array, "m r"]


@compiled(static=("family", "sizes", "seeds"))
def sweep(
    family: gaussian_mixture.Family,
    key: Key,
    X: Float[Real, "n d"],
    *,
    sizes: tuple[int, ...] = (1, 2, 3, 4, 5, 6),
    seeds: int = 5,
    prior_rows: Scalar = 0.0,
    prior_scale: Scalar | None = None,
    sample_weight: Float[Real, " n"] | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count = 1000,
) -> Sweep:
    """Fit mixtures of several sizes, each from several starts, in one program.

    Args:
        family: ``FAMILY`` of the module of a mixture; static.
        key: of the starts; those of all sizes begin with the same means.
        X: rows.
        sizes: numbers of components k; static.
        seeds: number of starts; static.
        prior_rows: κ of the fit.
        prior_scale: τ of the fit; k^(−2/d) with the k of the lane if None.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        tolerance: of the fit.
        max_steps: of the fit.
    """
    if not sizes or seeds < 1:
        raise ValueError(f"there must be a size and a start, got sizes {sizes} and seeds {seeds}.")
    if min(sizes) < 1:
        raise ValueError(f"sizes must be at least 1, got {min(sizes)}.")
    X, weight = present_rows(X, sample_weight)
    d = X.shape[1]

    def lane(key, k):
        start = mixture_seeds.init(family, key, X, k=max(sizes), present=k, sample_weight=weight)
        scale = k.astype(X.dtype) ** (-2 / d) if prior_scale is None else prior_scale
        found, certificate = expectation_maximisation.maximise(
            family, start, X, prior_rows, scale,
            sample_weight=weight, tolerance=tolerance, max_steps=max_steps,
        )  # fmt: skip
        loss = gaussian_mixture.objective(family, found, X, 0.0, 1.0, sample_weight=weight)
        return found, certificate, jnp.where(jnp.isnan(certificate.gap), jnp.nan, -loss)

    k = jnp.asarray(sizes)
    starts = jax.vmap(lane, (0, None))
    found, certificate, likelihood = jax.vmap(starts, (None, 0))(jax.random.split(key, seeds), k)
    numbers = jnp.asarray([freedom(family, size, d) for size in sizes])
    free = numbers.astype(X.dtype)[:, None]
    deviance = jnp.where(certificate.converged, -2 * likelihood, jnp.nan)
    return Sweep(
        found, certificate, k, numbers, likelihood,
        2 * free + deviance, free * jnp.log(jnp.sum(weight)) + deviance,
    )  # fmt: skip


def best(criterion: Float[Real, "m r"]) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """Place of the smallest number, NaN coming last: of the size, and of the start."""
    criterion = jnp.asarray(criterion)
    place = jnp.argmin(jnp.where(jnp.isnan(criterion), jnp.inf, criterion))
    return place // criterion.shape[1], place % criterion.shape[1]


def freedom(family: gaussian_mixture.Family, k: int, d: int) -> int:
    """Free numbers p of a mixture: k − 1 weights, kd means and the covariances."""
    shape = jax.eval_shape(family.pool, jax.ShapeDtypeStruct((k, d), jnp.float32)).shape
    return k - 1 + k * d + shape[0] * (family.factors.freedom(d) if shape[1] == d else 1)
