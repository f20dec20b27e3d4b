"""Centroids: a few points, each of which stands for the rows that lie nearest to it.

For one example x ∈ ℝᵈ and centroids c₁ … c_k ∈ ℝᵈ

    j(x) = argminⱼ ‖x − cⱼ‖²,        ℓ(x) = minⱼ ‖x − cⱼ‖²                      (1)

and over rows with weights sᵢ the inertia is

    L(C) = Σᵢ sᵢ minⱼ ‖xᵢ − cⱼ‖²                                               (2)

Of equally near centroids the first counts. j is piecewise constant. ℓ and L are differentiable
to any order except where two centroids are equally near; ∂L/∂cⱼ = 2 Σ_{i: j(xᵢ)=j} sᵢ (cⱼ − xᵢ).

Time O(kd) per example. Over many examples, under ``vmap`` or ``mlmath.rows``, j is found by one
blocked product of matrices (``linalg.nearest``), never with n × k numbers at a time.

>>> import jax.numpy as jnp, mlmath
>>> from mlmath.latent import centroids
>>> params = centroids.Params(jnp.array([[0.0, 0.0], [3.0, 4.0]]))
>>> X = jnp.array([[3.0, 3.0], [0.0, -1.0]])
>>> print(mlmath.rows(centroids.predict)(params, X), mlmath.rows(centroids.loss)(params, X))
[1 0] [1. 1.]
>>> print(mlmath.rows(centroids.transform)(params, X[1:]).round(3))
[[1.    5.831]]
>>> print(centroids.objective(params, X))
2.0

References:
    MacQueen (1967), Some methods for classification and analysis of multivariate observations,
        Proceedings of the Fifth Berkeley Symposium 1, §1.
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §14.3.6, eq. 14.33.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float, Int

from mlmath.absence import filled, within
from mlmath.arrays import Real
from mlmath.compiled import compiled
from mlmath.latent import assignment
from mlmath.linalg import distances, gram
from mlmath.linalg.nearest import nearest
from mlmath.statistics.weights import present_weight, total

__all__ = ["Params", "inertia", "loss", "objective", "predict", "transform"]


class Params(NamedTuple):
    """The points that stand for the rows."""

    centroids: Float[Array, "k d"]  # cⱼ in the rows, in the units of the data


@compiled()
def predict(params: Params, x: Float[Real, " d"]) -> Int[Array, ""]:
    """Index j of the nearest centroid to ONE example, eq. (1); of NaN it means nothing."""
    C = lax.stop_gradient(jnp.asarray(params.centroids))
    return _nearest(C, lax.stop_gradient(jnp.asarray(x, C.dtype)))


def transform(params: Params, x: Float[Real, " d"]) -> Float[Array, " k"]:
    """Distance of ONE example to each centroid."""
    return distances.euclidean(x, params.centroids)


def loss(params: Params, x: Float[Real, " d"]) -> Float[Array, ""]:
    """Squared distance ℓ of ONE example to the nearest centroid, eq. (1)."""
    C = jnp.asarray(params.centroids)
    return jnp.sum((x - C[predict(params, x)]) ** 2)


@compiled()
def objective(
    params: Params, X: Float[Real, "n d"], *, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, ""]:
    """Inertia L, eq. (2)."""
    C, X, weight = jnp.asarray(params.centroids), jnp.asarray(X), present_weight(X, sample_weight)
    rows = assignment.frame(X, weight)
    labels = assignment.assign(rows, assignment.coordinates(rows, lax.stop_gradient(C))).labels
    shown = 0 * (rows.unit + jnp.sum(weight))  # NaN if a row is no number
    lost = jnp.where(jnp.isnan(C).any(), jnp.nan, shown)
    return inertia(C, X, labels, weight) + lost


def inertia(
    centroids: Float[Real, "k d"],
    X: Float[Real, "n d"],
    labels: Int[Real, " n"],
    weight: Float[Real, " n"],
) -> Float[Array, ""]:
    """Σᵢ sᵢ ‖xᵢ − c‖² with c the centroid of each row's label, a block of rows at a time."""
    return gram.row_sum(_inertia, (X, labels, weight), jnp.asarray(centroids))


def _inertia(X, labels, weight, C):
    most = jnp.finfo(X.dtype).max ** 0.25
    apart = filled(X) - C.at[labels].get(mode="clip")
    apart = within(apart, weight, jnp.zeros_like(X[0]), unit=jnp.asarray(most))
    return total(jnp.sum(apart**2, axis=1), weight)


@custom_vmap
def _nearest(C, x):
    return nearest(x[None], C).indices[0]


@_nearest.def_vmap
@jax.default_matmul_precision("highest")
def _(size, batched, C, x):
    """Many examples of the same centroids are one search, whatever batches it."""
    if batched == [False, True]:
        return nearest(x, C).indices, True
    if batched == [True, False]:
        return lax.map(lambda one: _nearest(one, x), C), True
    return jax.vmap(lambda C, x: nearest(x[None], C).indices[0])(C, x), True
