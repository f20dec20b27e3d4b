"""Gaussian mixture whose components share one covariance matrix.

A row x ∈ ℝᵈ comes from component j with probability πⱼ, and

    p(x) = Σⱼ πⱼ N(x; μⱼ, Σ)                                                   (1)

with one positive definite Σ: responsibilities are softmax regressions on x, and components meet in
planes. ``latent.gaussian_mixture`` has the objective and the prior,
``latent.expectation_maximisation`` the algorithm, of whose step the last line is here

    Σ⁺ = (Σⱼ Sⱼ + κτT) / (Σⱼ Nⱼ + κ)                                           (2)

Free numbers: k − 1 + kd + d(d + 1)/2. Affine maps of the rows map the answer. No component can
shrink onto a row by itself, so that maximum likelihood exists unless the rows lie in k points.

Time O(nkd²) per step, memory O(nd).

>>> import jax, jax.numpy as jnp
>>> from mlmath.latent import tied_mixture
>>> X = jnp.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
>>> fitted = tied_mixture.fit(tied_mixture.init(jax.random.key(0), X, k=2), X)
>>> print(jnp.sort(fitted.params.means[:, 0]), fitted.params.covariances)
[ 1. 11.] [[0.6667]]

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §6.8, §8.5.1.
    Celeux & Govaert (1995), Gaussian parsimonious clustering models, §2 (model EEE).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Count, Key, Real, Scalar
from mlmath.certificate import Certificate
from mlmath.compiled import compiled
from mlmath.latent import dense_factors, expectation_maximisation, gaussian_mixture, mixture_seeds

__all__ = ["FAMILY", "Fit", "Params", "fit", "init", "log_prob", "objective", "predict", "sample"]


class Params(NamedTuple):
    """The mixture (1)."""

    weights: Float[Array, " k"]  # πⱼ, probabilities
    means: Float[Array, "k d"]  # μⱼ
    covariances: Float[Array, "d d"]  # Σ, of every component


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: (
        Certificate  # gap: what the next step is sure to gain, ``expectation_maximisation`` (2)
    )


def _summed(a):
    return jnp.sum(a, axis=0, keepdims=True)


def _stacked(a):
    return a[None]


def _shaped(a):
    return a[0]


FAMILY = gaussian_mixture.Family(dense_factors, _summed, _stacked, _shaped)


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
