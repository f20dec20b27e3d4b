"""Non-negative matrix factorisation: rows as sums of a few non-negative parts.

Rows xᵢ ≥ 0 with weights sᵢ are approximated by codes wᵢ ≥ 0 times components, the rows hⱼ ≥ 0 of
H ∈ ℝᵏˣᵈ; the codes of one x given H are ``latent.nonnegative_codes``, eq. (1). Fitting minimises

    L(H) = Σᵢ sᵢ min_{w ≥ 0} ½ ‖xᵢ − wH‖²        over H ≥ 0                       (1)

A step finds the codes exactly, then with A = Σᵢ sᵢ wᵢᵀwᵢ and B = Σᵢ sᵢ wᵢᵀxᵢ improves the
components. :func:`fit`, by hierarchical alternating least squares (HALS), gives several times over
one row of H after the other its best value with the rest fixed,

    hⱼ ← max(0, hⱼ + (B − AH)ⱼ / Aⱼⱼ),        j = 1 … k                          (2)

:func:`fit_multiplicative` takes Lee and Seung's update (``latent.multiplicative_updates``) instead.
No step of either raises L. L does not know the length of a component, so that each comes back with

    ‖hⱼ‖ = 1                                                                   (3)

and stands where it stood at the start. A component that no row uses, with Aⱼⱼ = 0, :func:`fit`
puts on what the worst row misses (``latent.nonnegative_descent``, eq. 3), where that gains
anything. L is not convex: another start may end elsewhere, and :func:`init_svd` and
:func:`init_random` make good ones.

The gap is what one more step of (2) and such a placing are sure to gain, an exact sum
(``linalg.nonnegative_least_squares``, eq. 3), and what single codes are where their own steps did
not suffice, over L(null) = ½ Σᵢ sᵢ‖xᵢ‖², that of H = 0. Below (8ε)² it is rounding, and 0. It is 0
only where no single row of H and no code can be bettered. As the descent is linear, L can be many
times the gap from its minimum: the tolerance is ε^(4/3), the square of what a first-order method
reaches, since the gap falls with the square of the step.

With the zeros of H fixed the answer is where the slope of the others vanishes,

    AH − B + diag(A) (‖hⱼ‖² − 1) hⱼ = 0        for the entries of H that are > 0    (4)

and its derivatives of any order in X and the weights are those of (4), by conjugate gradients,
where the fit has converged and no zero of H or of the codes is on the verge of growing; the
derivative in the components where it begins is 0, and that of L is the envelope theorem's. Where
the factors are not unique, as when X = WH without noise and without zeros, H has no derivative and
it is NaN or one of many. The zeros that :func:`fit_multiplicative` tends to it never reaches, so
that of its answer the objective alone has a first derivative.

A row with a negative entry that counts has no place here: the answer and its gap are NaN, as for
NaN. With k = 1 the answer is the leading right
singular vector of diag(√s) X. Without H ≥ 0 and w ≥ 0 it is ``latent.pca`` without a mean.

Law of the weights: both fits and :func:`init_svd` are exact; :func:`init_random` draws in
proportion to sᵢ.

Time O(ndk) per step and what the codes take; memory beside X a scaled copy of it, a few n × k and
n × d for what the rows miss.

>>> import jax.numpy as jnp, mlmath
>>> from mlmath.latent import nmf
>>> X = jnp.array([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0], [0.0, 0.0, 3.0], [1.0, 1.0, 3.0]])
>>> fitted = nmf.fit(nmf.init_svd(X, k=2), X)
>>> print(fitted.params.components.round(3))
[[0.    0.    1.   ]
 [0.707 0.707 0.   ]]
>>> print(mlmath.rows(nmf.transform)(fitted.params, X).round(2)[3], fitted.certificate.converged)
[3.   1.41] True

References:
    Lee & Seung (1999), Learning the parts of objects by non-negative matrix factorization,
        Nature 401.
    Cichocki & Phan (2009), Fast local algorithms for large scale nonnegative matrix and tensor
        factorizations, IEICE Transactions E92-A(3), §3 (HALS, eq. 2).
    Gillis & Glineur (2012), Accelerated multiplicative updates and hierarchical ALS algorithms for
        nonnegative matrix factorization, Neural Computation 24(4), §4 (several sweeps in a step).
    Boutsidis & Gallopoulos (2008), SVD based initialization: a head start for nonnegative matrix
        factorization, Pattern Recognition 41(4), §2.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from mlmath.arrays import Count, Real, Scalar
from mlmath.calculus import implicit
from mlmath.certificate import Certificate, certify, first_order_tolerance
from mlmath.compiled import compiled
from mlmath.latent import alternating, multiplicative_updates, nonnegative_codes
from mlmath.latent import nonnegative_descent as descent
from mlmath.latent.nonnegative_codes import Params, inverse, loss, objective, transform
from mlmath.latent.nonnegative_starts import init_random, init_svd
from mlmath.statistics.weights import present_rows

__all__ = [
    "Fit",
    "Params",
    "fit",
    "fit_multiplicative",
    "init_random",
    "init_svd",
    "inverse",
    "loss",
    "objective",
    "transform",
]


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: Certificate  # gap: what one more step is sure to gain / L(null)


@compiled()
def fit(
    components: Float[Real, "k d"],
    X: Float[Real, "n d"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count = 1000,
) -> Fit:
    """Lower :func:`objective` by hierarchical alternating least squares, eq. (2).

    Differentiable to any order in X and the weights, eq. (4).

    Args:
        components: H where it begins, as :func:`init_svd` makes it.
        X: rows, without negative entries.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        tolerance: largest gap that counts as converged; ε^(4/3) of the dtype if None.
        max_steps: most steps.

    Raises:
        ValueError: if the number of components is not from 1 to the smaller of n and d.
    """
    data = descent.frame(*present_rows(X, sample_weight))
    tolerance = _tolerance(data.X, tolerance)
    found = descent.descend(_ahead, components, data, tolerance, max_steps)
    slope = partial(_slope, found)
    stiffness = _stiffness(found.codes, data.weight) * jnp.ones_like(found.components)
    H = implicit.attach_symmetric(
        slope, found.components, data.X, data.weight, preconditioner=lambda r: r / stiffness.ravel()
    )  # fmt: skip
    W = nonnegative_codes.attach(found.codes, H, data.X)
    return _fit(H, W, found, data, tolerance)


@compiled()
def fit_multiplicative(
    components: Float[Real, "k d"],
    X: Float[Real, "n d"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count = 1000,
) -> Fit:
    """Lower :func:`objective` by Lee and Seung's multiplicative updates of the components.

    The gap is that of :func:`fit`, and sees entries that are 0 where they begin and ought to grow,
    and a component that no row uses, which stays. The objective alone has a derivative, the first:
    those of the components are 0, and so are the second derivatives of the objective as far as
    they come from the components, which is not what refitting would say.

    Args:
        components: H where it begins; what is 0 stays 0.
        X: rows, without negative entries.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        tolerance: largest gap that counts as converged; ε^(4/3) of the dtype if None.
        max_steps: most steps.

    Raises:
        ValueError: if the number of components is not from 1 to the smaller of n and d.
    """
    data = descent.frame(*present_rows(X, sample_weight))
    tolerance = _tolerance(data.X, tolerance)
    found = descent.descend(_multiply, components, data, tolerance, max_steps)
    return _fit(found.components, found.codes, found, data, tolerance)


def _ahead(A, B, H, ahead):
    """The sweeps (2), with a component that no row used in its new place."""
    return ahead


def _multiply(A, B, H, ahead):
    """A multiplicative update."""
    return multiplicative_updates.multiply(A, B, H)[0]


def _slope(found, H, X, weight):
    """Left side of (4); of what is held at 0 the entry itself."""
    free = found.components > 0
    inner = jnp.where(free, H, 0)
    A, B = nonnegative_codes.products(nonnegative_codes.attach(found.codes, inner, X), X, weight)
    stiffness = _stiffness(found.codes, weight)
    length = stiffness * (jnp.sum(inner**2, axis=1, keepdims=True) - 1) * inner
    return jnp.where(free, A @ inner - B + length, stiffness * H)


def _stiffness(W, weight):
    """diag(A), or 1 for a component that no row uses."""
    diagonal = lax.stop_gradient(weight @ W**2)[:, None]
    return jnp.where(diagonal > 0, diagonal, 1)


def _fit(H, W, found, data, tolerance):
    value = alternating.stationary(_value, (H, W), (), (data.X, data.weight))
    value = data.unit**2 * data.share * value
    return Fit(
        Params(H),
        certify(value, found.gain, data.null, steps=found.steps, tolerance=tolerance),
    )


def _tolerance(X, tolerance):
    return first_order_tolerance(X) ** 2 if tolerance is None else tolerance


def _value(params, X, weight):
    H, W = params
    return nonnegative_codes.missed((W,), H, X, weight)
