"""Gaussian mixture in whose components the features are independent.

A row x ∈ ℝᵈ comes from component j with probability πⱼ, and

    p(x) = Σⱼ πⱼ Πᵢ N(xᵢ; μⱼᵢ, vⱼᵢ)                                            (1)

with variances vⱼᵢ > 0: a naive Bayes model without labels. ``latent.gaussian_mixture`` has the
objective and the prior, ``latent.expectation_maximisation`` the algorithm, of whose step the last
line is here, with sⱼ and t the diagonals of Sⱼ and T,

    vⱼ⁺ = (sⱼ + κτt) / (Nⱼ + κ)                                                (2)

for each component by itself. Free numbers: k − 1 + 2kd. Units of single features map the answer.

Time O(nkd) per step, memory O(nd).

>>> import jax, jax.numpy as jnp
>>> from mlmath.latent import diagonal_mixture
>>> X = jnp.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
>>> fitted = diagonal_mixture.fit(diagonal_mixture.init(jax.random.key(0), X, k=2), X)
>>> print(jnp.sort(fitted.params.means[:, 0]))
[ 1. 11.]

References:
    Bishop (2006), Pattern Recognition and Machine Learning, §9.2.2.
    Celeux & Govaert (1995), Gaussian parsimonious clustering models, §2 (model VVI).
"""

from typing import NamedTuple

from jaxtyping import Array, Float

from mlmath.arrays import Count, Key, Real, Scalar
from mlmath.certificate import Certificate
from mlmath.compiled import compiled
from mlmath.latent import (
    diagonal_factors,
    expectation_maximisation,
    gaussian_mixture,
    mixture_seeds,
)

__all__ = ["FAMILY", "Fit", "Params", "fit", "init", "log_prob", "objective", "predict", "sample"]


class Params(NamedTuple):
    """The mixture (1)."""

    weights: Float[Array, " k"]  # πⱼ, probabilities
    means: Float[Array, "k d"]  # μⱼ
    covariances: Float[Array, "k d"]  # vⱼᵢ, variances


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: (
        Certificate  # gap: what the next step is sure to gain, ``expectation_maximisation`` (2)
    )


def _same(a):
    return a


FAMILY = gaussian_mixture.Family(diagonal_factors, _same, _same, _same)


@compiled(static=("k",))
def init(
    key: Key, X: Float[Real, "n d"], *, k: int = 2, sample_weight: Float[Real, " n"] | None = None
) -> Params:
    """Draw a start: ``mixture_seeds.init``.

    Args:
        key: of the draws.
        X: rows.
        k: number of components; static.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
    """
    return Params(*mixture_seeds.init(FAMILY, key, X, k=k, sample_weight=sample_weight))


def log_prob(params: Params, x: Float[Real, " d"]) -> Float[Array, ""]:
    """Log density of ONE example, eq. (1)."""
    return gaussian_mixture.log_prob(FAMILY, params, x)


def predict(params: Params, x: Float[Real, " d"]) -> Float[Array, " k"]:
    """Responsibilities, the probabilities that ONE example comes from each component."""
    return gaussian_mixture.responsibilities(FAMILY, params, x)


def sample(key: Key, params: Params) -> Float[Array, " d"]:
    """Draw ONE example from (1); ``jax.vmap`` over ``jax.random.split(key, n)`` draws n."""
    return gaussian_mixture.sample(FAMILY, key, params)


@compiled()
def objective(
    params: Params,
    X: Float[Real, "n d"],
    *,
    prior_rows: Scalar = 0.0,
    prior_scale: Scalar | None = None,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Penalised negative log-likelihood that :func:`fit` minimises."""
    return gaussian_mixture.objective(
        FAMILY, params, X, prior_rows, prior_scale, sample_weight=sample_weight
    )


@compiled()
def fit(
    params: Params,
    X: Float[Real, "n d"],
    *,
    prior_rows: Scalar = 0.0,
    prior_scale: Scalar | None = None,
    sample_weight: Float[Real, " n"] | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count = 1000,
) -> Fit:
    """Minimise :func:`objective` by expectation–maximisation.

    Differentiable to second order in every argument but the start.

    Args:
        params: start, from :func:`init` or a fit to other rows.
        X: rows.
        prior_rows: κ, how many rows the prior counts for in each covariance; 0 is maximum
            likelihood.
        prior_scale: τ, the covariance of these rows as a share of that of all; k^(−2/d) if None.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        tolerance: largest gap that counts as converged; ε^(4/3) of the dtype if None.
        max_steps: most steps.
    """
    found, certificate = expectation_maximisation.maximise(
        FAMILY, params, X, prior_rows, prior_scale,
        sample_weight=sample_weight, tolerance=tolerance, max_steps=max_steps,
    )  # fmt: skip
    return Fit(Params(*found), certificate)
