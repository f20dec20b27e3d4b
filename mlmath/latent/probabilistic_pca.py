"""Probabilistic principal component analysis: a Gaussian that is wide in k directions.

A row x ∈ ℝᵈ is a point of a plane of k < d dimensions with the same noise in every direction,

    x = μ + Wᵀt + σ ε,    t ~ N(0, I_k),  ε ~ N(0, I_d)                         (1)
    p(x) = N(x; μ, WᵀW + σ²I)                                                  (2)

with loadings W ∈ ℝᵏˣᵈ. With A = WWᵀ + σ²I ∈ ℝᵏˣᵏ the mean of t given x, and the density by it, are

    t̂ = A⁻¹W(x − μ)                                                            (3)
    −2 log p(x) = d log 2π + log det A + (d − k) log σ² + ‖x − μ − Wᵀt̂‖²/σ² + ‖t̂‖²    (4)

Fitting minimises, with row weights sᵢ and S = Σᵢ sᵢ,

    L(μ, W, σ²) = −Σᵢ sᵢ log p(xᵢ)                                             (5)

and a minimiser has the mean μ and, with eigenvectors vⱼ and eigenvalues λⱼ of the scatter matrix,

    wⱼ = (ℓⱼ − σ²)^½ vⱼ,    ℓⱼ = λⱼ/S,    σ² = Σ_{j>k} λⱼ / (S (d − k))          (6)
    L* = ½S [d log 2π + d + Σ_{j≤k} log ℓⱼ + (d − k) log σ²]

Every rotation of W is another; (6) is the one along the axes of ``latent.pca``, with its signs.
As σ² → 0 the mean (3) becomes the whitened scores of PCA. Where the rows lie in a plane of k
dimensions σ² is 0 and L has no minimum: nothing is proved. Where λ_k = λ_{k+1}, or two of the k
are equal, the axes are some of many, and have no derivative.

With the residual e of the eigenvectors and the excess X of ``linalg.scatter``, eq. (5), the
captured variances are off by at most e/S each and X/S together, and L by at most

    ½S [X/(Sσ²) + (k + 1) (e/(Sσ²))²]                                           (7)

to second order. The gap is (7) over L(null) − L plus (7), for L has no zero; the null model is a
Gaussian that is alike in all directions.

(6) and (7) are functions of the moments alone, and those of parts of the data add up
(``statistics.moments``), so that a stream of blocks gives what one array gives, to rounding:
:func:`summarize` each, :func:`merge`, :func:`solve`.

Time O(nd·min(n, d)), memory O(d·min(n, d)) beside X.

>>> import jax, jax.numpy as jnp
>>> from mlmath.latent import probabilistic_pca
>>> X = jnp.array([[0.0, 0.1], [2.0, -0.1], [4.0, -0.1], [2.0, 0.1]])
>>> params = probabilistic_pca.fit(X, k=1).params
>>> print(params.loadings.round(3), params.noise.round(3))
[[ 1.412 -0.071]] 0.005
>>> print(jax.vmap(probabilistic_pca.transform, (None, 0))(params, X).T.round(1) + 0.0)
[[-1.4  0.   1.4  0. ]]

References:
    Tipping & Bishop (1999), Probabilistic principal component analysis, Journal of the Royal
        Statistical Society B 61(3), eq. 7 and 8 (maximum), §3.3 (posterior mean).
    Bishop (2006), Pattern Recognition and Machine Learning, §12.2.1.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float

from mlmath.absence import within
from mlmath.arrays import Key, Real, Scalar
from mlmath.certificate import Certificate, certify, first_order_tolerance
from mlmath.compiled import compiled
from mlmath.latent import principal_axes
from mlmath.statistics.moments import Moments, merge, summarize
from mlmath.statistics.weights import present_rows

__all__ = [
    "Fit",
    "Moments",
    "Params",
    "fit",
    "inverse",
    "log_prob",
    "merge",
    "objective",
    "sample",
    "solve",
    "summarize",
    "transform",
]


class Params(NamedTuple):
    """The Gaussian (2)."""

    mean: Float[Array, " d"]  # μ
    loadings: Float[Array, "k d"]  # W, in the units of the data
    noise: Float[Array, ""]  # σ², variance in every direction beside WᵀW


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: Certificate  # gap: bound (7) / (L(null) − L + (7))


def log_prob(params: Params, x: Float[Real, " d"]) -> Float[Array, ""]:
    """Log density of ONE example, eq. (4)."""
    k, d = params.loadings.shape
    with jax.default_matmul_precision("highest"):
        t, L = _latent(params, x)
        outside = x - inverse(params, t)
        logs = 2 * jnp.sum(jnp.log(jnp.diagonal(L))) + (d - k) * jnp.log(params.noise)
        return -(d * math.log(2 * math.pi) + logs + outside @ outside / params.noise + t @ t) / 2


def transform(params: Params, x: Float[Real, " d"]) -> Float[Array, " k"]:
    """Mean t̂ of t given ONE example, eq. (3)."""
    with jax.default_matmul_precision("highest"):
        return _latent(params, x)[0]


def inverse(params: Params, t: Float[Real, " k"]) -> Float[Array, " d"]:
    """Mean μ + Wᵀt of the rows with ONE t, eq. (1)."""
    return params.mean + jnp.matmul(t, params.loadings, precision="highest")


def sample(key: Key, params: Params) -> Float[Array, " d"]:
    """Draw ONE row, eq. (1)."""
    of_plane, of_noise = jax.random.split(key)
    k, d = params.loadings.shape
    t = jax.random.normal(of_plane, (k,), params.mean.dtype)
    noise = jax.random.normal(of_noise, (d,), params.mean.dtype)
    return inverse(params, t) + jnp.sqrt(params.noise) * noise


def objective(
    params: Params, X: Float[Real, "n d"], *, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, ""]:
    """Negative log-likelihood L, eq. (5), that :func:`fit` minimises."""
    X, weight = present_rows(X, sample_weight)
    params = jax.tree.map(jnp.asarray, params)
    X = within(X, weight, params.mean, unit=jnp.sqrt(params.noise))
    return -jnp.matmul(weight, jax.vmap(log_prob, (None, 0))(params, X), precision="highest")


@compiled(static=("k",))
def fit(
    X: Float[Real, "n d"],
    *,
    k: int = 2,
    sample_weight: Float[Real, " n"] | None = None,
    tolerance: Scalar | None = None,
) -> Fit:
    """Minimise :func:`objective` in closed form, eq. (6).

    Differentiable to second order in every array argument where the λ are distinct.

    Args:
        X: data.
        k: number of directions, below d and at most n; static.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        tolerance: largest gap that counts as converged; ε^⅔ of the dtype if None.
    """
    X, weight = present_rows(X, sample_weight)
    n, d = X.shape
    if not 1 <= k <= min(n, d - 1):
        raise ValueError(f"k must be from 1 to {min(n, d - 1)}, below d and at most n, got {k}.")
    return _fitted(principal_axes.of_rows(X, weight), k, tolerance)


@compiled(static=("k",))
def solve(moments: Moments, *, k: int = 2, tolerance: Scalar | None = None) -> Fit:
    """:func:`fit` to the rows of which these are the moments.

    Args:
        moments: S, μ and C of all rows.
        k: number of directions, below d; static.
        tolerance: largest gap that counts as converged; ε^⅔ of the dtype if None.
    """
    d = len(moments.mean)
    if not 1 <= k < d:
        raise ValueError(f"k must be from 1 to {d - 1}, below d, got {k}.")
    return _fitted(principal_axes.of_moments(moments), k, tolerance)


def _fitted(axes, k, tolerance):
    """Eq. (6) and its certificate by (7)."""
    d, total, variances = len(axes.mean), axes.weight, axes.spectrum.values[:k] / axes.weight
    noise = (axes.spread / total - jnp.sum(variances)) / (d - k)
    lengths = jnp.sqrt(variances - noise)
    params = Params(axes.mean, (axes.spectrum.vectors[:, :k] * lengths[None]).T, noise)
    logs = jnp.sum(jnp.log(variances)) + (d - k) * jnp.log(noise)
    value = total / 2 * (d * (math.log(2 * math.pi) + 1) + logs)
    above = total / 2 * (d * jnp.log(axes.spread / (total * d)) - logs)
    first = principal_axes.missed(axes, k) / (total * noise)
    second = (k + 1) * (axes.spectrum.residual / (total * noise)) ** 2
    bound = lax.stop_gradient(total / 2 * (first + second))
    tolerance = first_order_tolerance(axes.mean) if tolerance is None else tolerance
    return Fit(params, certify(value, bound, above + bound, tolerance=tolerance))


def _latent(params, x):
    """t̂ of ONE example, eq. (3), and the Cholesky factor of A."""
    W = jnp.asarray(params.loadings)
    A = W @ W.T + params.noise * jnp.eye(W.shape[0], dtype=W.dtype)
    L = jnp.linalg.cholesky(A)
    return cho_solve((L, True), W @ (x - params.mean)), L
