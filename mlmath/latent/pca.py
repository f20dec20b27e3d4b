"""Principal component analysis: the k orthogonal directions in which rows vary most.

With row weights sᵢ, S = Σᵢ sᵢ, mean μ = Σᵢ sᵢ xᵢ / S and orthonormal rows vⱼ of V ∈ ℝᵏˣᵈ an
example x ∈ ℝᵈ has coordinates (scores) z and, from them, the reconstruction x̂:

    z = V(x − μ),        x̂ = μ + Vᵀz                                           (1)

Fitting minimises what the reconstruction misses,

    L(μ, V) = Σᵢ sᵢ ‖(I − VᵀV)(xᵢ − μ)‖²                                       (2)

By Eckart and Young the minimisers are the leading eigenvectors of the scatter matrix

    C = Σᵢ sᵢ (xᵢ − μ)(xᵢ − μ)ᵀ,    C vⱼ = λⱼ vⱼ,  λ₁ ≥ λ₂ ≥ …,    L* = Σ_{j>k} λⱼ    (3)

and λⱼ/S is the variance of zⱼ. Each direction is signed so that its entry of largest modulus is
positive. Whitened coordinates have variance 1:

    w = diag(λ/S)^−½ z,        x̂ = μ + Vᵀ diag(λ/S)^½ w                        (4)

C comes from one pass over the rows, and with more columns than rows never exists
(``linalg.scatter``). Moments of parts of the data add up to those of the whole
(``statistics.moments``), so that a stream of blocks gives what one array gives, to rounding:
:func:`summarize` each, :func:`merge`, :func:`solve`.

With many columns and few components products with C are enough: :func:`fit_randomised` finds these
by ``linalg.orthogonal_iteration`` from random directions.

Where λ_k = λ_{k+1} the directions are some of many that minimise L, and have no derivative; a
direction of variance 0 has whitened coordinates ∞ or NaN. L is right to within ε of L(null).
Reduces to ``latent.probabilistic_pca`` without noise.

Time O(nd·min(n, d)), memory O(d·min(n, d)) beside X.

>>> import jax.numpy as jnp, mlmath
>>> from mlmath.latent import pca
>>> X = jnp.array([[0.0, 0.0], [2.0, 2.0], [4.0, 4.0], [2.0, 2.0]])
>>> fitted = pca.fit(X, k=1)
>>> print(fitted.params.components.round(3), fitted.params.variances, fitted.explained)
[[0.707 0.707]] [4.] [1.]
>>> print(mlmath.rows(pca.whiten)(fitted.params, X).T.round(2) + 0.0)
[[-1.41  0.    1.41  0.  ]]

References:
    Eckart & Young (1936), The approximation of one matrix by another of lower rank.
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §14.5.1.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

from mlmath.absence import apart
from mlmath.arrays import Count, Key, Real, Scalar, by_blocks
from mlmath.certificate import Certificate, certify, first_order_tolerance
from mlmath.compiled import compiled
from mlmath.latent import principal_axes
from mlmath.linalg import gram, orthogonal_iteration, scatter
from mlmath.statistics.center import sampled_mean
from mlmath.statistics.moments import Moments, merge, summarize
from mlmath.statistics.weights import present_rows

__all__ = [
    "Fit",
    "Moments",
    "Params",
    "fit",
    "fit_randomised",
    "inverse",
    "loss",
    "merge",
    "objective",
    "solve",
    "summarize",
    "transform",
    "unwhiten",
    "whiten",
]


class Params(NamedTuple):
    """A plane of k dimensions through the mean, and how rows vary in it."""

    mean: Float[Array, " d"]  # μ
    components: Float[Array, "k d"]  # V, orthonormal directions in its rows
    variances: Float[Array, " k"]  # λⱼ/S of the scores, descending


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: Certificate  # gap: ``principal_axes``, eq. (2) / L(null), the mean alone
    explained: Float[Array, " k"]  # share of the total variance tr C / S


@compiled()
def transform(params: Params, x: Float[Real, " d"]) -> Float[Array, " k"]:
    """Scores z of ONE example, eq. (1)."""
    return _scores(*map(jnp.asarray, (params.components, params.mean, x)))


def inverse(params: Params, z: Float[Real, " k"]) -> Float[Array, " d"]:
    """Reconstruction x̂ of ONE example from its scores, eq. (1)."""
    return params.mean + jnp.matmul(z, params.components, precision="highest")


def whiten(params: Params, x: Float[Real, " d"]) -> Float[Array, " k"]:
    """Scores w of variance 1 of ONE example, eq. (4)."""
    return transform(params, x) / jnp.sqrt(params.variances)


def unwhiten(params: Params, w: Float[Real, " k"]) -> Float[Array, " d"]:
    """Reconstruction x̂ of ONE example from its whitened scores, eq. (4)."""
    return inverse(params, w * jnp.sqrt(params.variances))


def loss(params: Params, x: Float[Real, " d"]) -> Float[Array, ""]:
    """Squared distance of ONE example from its reconstruction."""
    return jnp.sum(jnp.square(x - inverse(params, transform(params, x))))


@compiled()
def objective(
    params: Params, X: Float[Real, "n d"], *, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, ""]:
    """What the reconstruction misses, L of eq. (2), that :func:`fit` minimises."""
    X, weight = present_rows(X, sample_weight)
    X = apart(X, weight, jnp.asarray(params.mean))
    return weight @ jax.vmap(loss, (None, 0))(params._replace(mean=0 * X[0]), X)


@compiled(static=("k",))
def fit(
    X: Float[Real, "n d"],
    *,
    k: int = 2,
    sample_weight: Float[Real, " n"] | None = None,
    tolerance: Scalar | None = None,
) -> Fit:
    """Minimise :func:`objective` in closed form, eq. (3).

    Differentiable to second order in every array argument where the λ are distinct.

    Args:
        X: data.
        k: number of directions, at most the smaller of n and d; static.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        tolerance: largest gap that counts as converged; ε^⅔ of the dtype if None.
    """
    X, weight = present_rows(X, sample_weight)
    _refuse(k, min(X.shape))
    return _fitted(principal_axes.of_rows(X, weight), k, tolerance)


@compiled(static=("k", "oversampling"))
def fit_randomised(
    key: Key,
    X: Float[Real, "n d"],
    *,
    k: int = 2,
    oversampling: int = 10,
    sample_weight: Float[Real, " n"] | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count = 8,
) -> Fit:
    """Minimise :func:`objective` by orthogonal iteration, where d is large beside k.

    The gap is an estimate, which takes the next Ritz value for λ_{k+1}. The answer depends on the
    draw, so that only the objective has a derivative.

    Args:
        key: of the first directions.
        X: data.
        k: number of directions; static.
        oversampling: how many more are iterated, as far as n and d go; static.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        tolerance: largest gap that counts as converged; ε^⅔ of the dtype if None.
        max_steps: most products with C, each a pass over the rows.
    """
    X, weight = present_rows(X, sample_weight)
    n, d = X.shape
    _refuse(k, min(n, d))
    if oversampling < 0:
        raise ValueError(f"oversampling must be at least 0, got {oversampling}.")
    tolerance = first_order_tolerance(X) if tolerance is None else tolerance
    total, mean, spread, constant = _about(X, weight)
    start = jax.random.normal(key, (d, min(k + oversampling, n, d)), X.dtype)
    found = orthogonal_iteration.iterate(
        _product, start, k, X, weight, mean, enough=tolerance * spread, max_steps=max_steps,
        rounding=jnp.finfo(X.dtype).eps * spread,
    )  # fmt: skip
    V, values = found.vectors, jnp.maximum(found.values, 0)
    spectrum = scatter.Spectrum(values, V, found.excess)
    axes = principal_axes.Axes(total, mean, spread, spectrum, constant, jnp.min(weight))
    lost = _at_least_zero(spread - jnp.sum(V * _product(V, X, weight, mean)))
    proved = principal_axes.proved(found.excess, axes)
    certificate = certify(lost, proved, spread, steps=found.steps, tolerance=tolerance)
    params = lax.stop_gradient(Params(mean, V.T, values / total))
    return Fit(params, certificate, lax.stop_gradient(values / spread))


@compiled(static=("k",))
def solve(moments: Moments, *, k: int = 2, tolerance: Scalar | None = None) -> Fit:
    """:func:`fit` to the rows of which these are the moments.

    Of rows that are all the same, which moments do not tell, nothing is proved: the gap is NaN.

    Args:
        moments: S, μ and C of all rows.
        k: number of directions, at most d; static.
        tolerance: largest gap that counts as converged; ε^⅔ of the dtype if None.
    """
    _refuse(k, len(moments.mean))
    return _fitted(principal_axes.of_moments(moments), k, tolerance)


def _plain_scores(V, mean, x):
    return jnp.matmul(V, x - mean)


@jax.custom_jvp
def _scores(V, mean, x):
    return _scores_of_one(V, mean, x)


@_scores.defjvp
@jax.default_matmul_precision("highest")
def _(primals, tangents):
    return _scores(*primals), jax.jvp(_plain_scores, primals, tangents)[1]


_scores_of_one = custom_vmap(_plain_scores)


@_scores_of_one.def_vmap
@jax.default_matmul_precision("highest")  # traced when the entry point has already returned
def _(size, batched, V, mean, x):
    """Many examples a block at a time on a CPU, so that their differences stay in the cache."""
    if batched != [False, False, True]:
        return jax.vmap(_plain_scores, [0 if many else None for many in batched])(V, mean, x), True

    def whole(x):
        return (x - mean[None]) @ V.T

    blocks = partial(by_blocks, whole, width=len(mean), most=2**19)
    return lax.platform_dependent(x, cpu=blocks, default=whole), True


def _fitted(axes, k, tolerance):
    values = axes.spectrum.values[:k]
    lost = _at_least_zero(axes.spread - jnp.sum(values))
    tolerance = first_order_tolerance(axes.mean) if tolerance is None else tolerance
    return Fit(
        Params(axes.mean, axes.spectrum.vectors[:, :k].T, values / axes.weight),
        certify(lost, principal_axes.missed(axes, k), axes.spread, tolerance=tolerance),
        values / axes.spread,
    )


def _refuse(k, most):
    if not 1 <= k <= most:
        raise ValueError(f"k must be from 1 to {most}, the smaller of n and d, got {k}.")


def _at_least_zero(number):
    """max(number, 0) where rounding alone makes it negative: the derivative stays."""
    return number + lax.stop_gradient(jnp.maximum(number, 0) - number)


def _about(X, weight):
    """S, μ, tr C, and whether all rows are equal."""
    c = sampled_mean(X, weight)
    squares, first, total, deviation = gram.row_sum(_squares, (X, weight), c)
    return total, c + first / total, squares - first @ first / total, deviation == 0


def _squares(X, weight, c):
    """Sums of ‖x − c‖², of x − c, of 1 and of the largest |x − c|."""
    Z = apart(X, weight, c)
    largest = weight @ jnp.max(jnp.abs(Z), axis=1)
    return weight @ jnp.sum(Z**2, axis=1), weight @ Z, jnp.sum(weight), largest


def _product(V, X, weight, mean):
    """C V."""
    return gram.row_sum(_block_product, (X, weight), mean, V)


def _block_product(X, weight, mean, V):
    Z = apart(X, weight, mean)
    return Z.T @ (weight[:, None] * (Z @ V))
