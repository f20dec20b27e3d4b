"""Adaline: Widrow and Hoff's rule of least mean squares.

The model of one example x ∈ ℝᵈ and the error on its target y are

    ŷ(x) = wᵀx + b,        e = y − ŷ(x)                                        (1)

The examples are presented in order, epoch after epoch, and after each one

    w ← w + η e x,        b ← b + η e,        η = η₀/(1 + κ·epoch)             (2)

a step down the gradient of ½e². One presentation multiplies e by 1 − ηq with q = ‖x‖² + 1, so
that the rule is stable if 0 < η < 2/maxᵢ qᵢ; without a rate η₀ = ½/maxᵢ qᵢ is taken. s
presentations in a row amount to

    (w, b) ← (w, b) + [1 − (1 − ηq)ˢ]/q · e·(x, 1)                              (3)

which gives a weight sᵢ its meaning, *in place*, also where it is not a whole number.

The limit minimises, where every error can be zero or κ > 0,

    L(w, b) = ½ Σᵢ sᵢ (yᵢ − wᵀxᵢ − b)²                                         (4)

and for κ = 0 it stays at a distance of order η. The gap of the certificate is ½gᵀH⁻¹g/L(0, ȳ) of
(4), exact because L is quadratic: the answer is measured against least squares.

Differentiable through the iteration to any order, in every array argument, η₀ and κ; the
number of epochs is static.

Time O(nd) per epoch, one example after the other (rows that are sharded travel), O(nd² + d³)
for the certificate; in reverse mode memory O((n + epochs) d).

>>> import jax.numpy as jnp
>>> from mlmath.linear import adaline
>>> X, y = jnp.array([[0.0], [1.0], [2.0]]), jnp.array([1.0, 3.0, 5.0])
>>> fitted = adaline.fit(X, y, learning_rate=0.2, epochs=200)
>>> print(fitted.params.weights.round(3), fitted.params.bias.round(3))
[2.] 1.0

References:
    Widrow & Hoff (1960), Adaptive switching circuits.
    Haykin (2014), Adaptive Filter Theory, §6.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Float

from mlmath.absence import within
from mlmath.arrays import Real, Scalar
from mlmath.certificate import Certificate, certify, first_order_tolerance
from mlmath.compiled import compiled
from mlmath.linalg.gram import affine_gram
from mlmath.linear.plane import Params, loss, predict
from mlmath.statistics.weights import present

__all__ = ["Fit", "Params", "fit", "loss", "objective", "predict"]


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: Certificate  # gap: ½ gᵀH⁻¹g / L(0, ȳ), exact for a quadratic


def objective(
    params: Params,
    X: Float[Real, "n d"],
    y: Float[Real, " n"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Squared error L, eq. (4)."""
    return _objective(params, *present(X, y, sample_weight))


@compiled(static=("epochs",))
def fit(
    X: Float[Real, "n d"],
    y: Float[Real, " n"],
    *,
    learning_rate: Scalar | None = None,
    decay: Scalar = 0.0,
    sample_weight: Float[Real, " n"] | None = None,
    start: Params | None = None,
    tolerance: Scalar | None = None,
    epochs: int = 100,
) -> Fit:
    """Present the examples in order, ``epochs`` times, by the rule (2).

    An epoch after which L is no finite number is not taken; all weights 0 make NaN.

    Args:
        X: features.
        y: targets.
        learning_rate: η₀, less than 2/maxᵢ(‖xᵢ‖² + 1); a quarter of that bound if None.
        decay: κ; 0 keeps the rate.
        sample_weight: sᵢ, how often in a row the example is presented.
        start: first iterate; zeros if None.
        tolerance: largest gap that counts as converged; ε^⅔ of the dtype if None.
        epochs: passes over the data.

    Raises:
        ValueError: if ``epochs`` is negative.
    """
    if epochs < 0:
        raise ValueError(f"epochs must be 0 or more, got {epochs}.")
    X, y, weight = present(X, y, sample_weight)
    weight = weight + jnp.where((weight == 0).all(), jnp.nan, 0)
    X = within(X, weight, jnp.zeros_like(X[0]))
    squares = jnp.sum(X**2, axis=1) + 1
    if learning_rate is None:
        learning_rate = 0.5 / jnp.max(jnp.where(weight != 0, squares, 1))
    rate0, decay = jnp.asarray(learning_rate, X.dtype), jnp.asarray(decay, X.dtype)
    first = Params(jnp.zeros_like(X[0]), jnp.zeros_like(y[0])) if start is None else start
    first = jax.tree.map(lambda a: jnp.asarray(a, X.dtype), first)

    def finite(params):
        return jnp.isfinite(_objective(*lax.stop_gradient((params, X, y, weight))))

    sound = finite(first)  # a NaN that the data or the start holds is to show

    @jax.checkpoint
    def epoch(params, number):
        rate = rate0 / (1 + decay * number)
        rows = (X, y, weight, squares)
        after = lax.scan(partial(_present_one, rate), params, rows)[0]
        taken = finite(after) | ~sound
        return jax.tree.map(lambda a, b: jnp.where(taken, a, b), after, params), None

    params = lax.scan(epoch, first, jnp.arange(epochs, dtype=X.dtype))[0]
    null = Params(jnp.zeros_like(X[0]), weight @ y / weight.sum())
    return Fit(
        params,
        certify(
            _objective(params, X, y, weight),
            _excess(params, *lax.stop_gradient((X, y, weight))),
            _objective(null, X, y, weight),
            steps=epochs,
            tolerance=first_order_tolerance(X) if tolerance is None else tolerance,
        ),
    )


def _present_one(rate, params, row):
    """Rule (2) for a row that is presented s times."""
    x, target, s, q = row
    step = (1 - _power(1 - rate * q, s)) / q * (target - predict(params, x))
    return Params(params.weights + step * x, params.bias + step), None


def _power(base, exponent):
    """baseˢ, for a negative base joined smoothly between whole s by cos πs."""
    size = jnp.exp(exponent * jnp.log(jnp.maximum(jnp.abs(base), jnp.finfo(base.dtype).tiny)))
    return size * jnp.where(base < 0, jnp.cos(jnp.pi * exponent), 1)


def _excess(params, X, y, weight):
    """½ gᵀH⁻¹g = L − L*, H scaled to a unit diagonal plus 4dε."""
    residual = X @ params.weights + params.bias - y
    h, weighted = affine_gram(X, weight), weight * residual
    g = jnp.append(weighted @ X, weighted.sum())
    scale = lax.rsqrt(jnp.where(jnp.diagonal(h) > 0, jnp.diagonal(h), 1))
    jitter = 4 * len(h) * float(jnp.finfo(h.dtype).eps) * jnp.eye(len(h), dtype=h.dtype)
    factor = cho_factor(h * jnp.outer(scale, scale) + jitter)
    return (scale * g) @ cho_solve(factor, scale * g) / 2


def _objective(params, X, y, weight):
    return weight @ (y - X @ params.weights - params.bias) ** 2 / 2
