"""Losses: what the outputs of a network cost, given the target of the example.

For the k outputs z of ONE example and its target y,

    squared                 ½ ‖z − y‖²                                         (1)
    huber                   Σⱼ ½ rⱼ² if |rⱼ| ≤ δ, else δ (|rⱼ| − ½ δ),   r = z − y     (2)
    hinge                   Σⱼ max(0, 1 − tⱼ zⱼ),   tⱼ = 2yⱼ − 1 ∈ {−1, +1}          (3)
    binary cross-entropy    Σⱼ yⱼ log(1 + e^{−zⱼ}) + (1 − yⱼ) log(1 + e^{zⱼ})         (4)
    softmax cross-entropy   −Σ_c q_c log p_c,   p = softmax(z),
                            q_c = (1 − α) [c = y] + α/k                        (5)

In (1) to (4) y holds one number for each output, or is one number where k = 1; in (3) each is 0
or 1 and in (4) a probability in [0, 1]. In (5) y is a class 0, …, k − 1, as an integer or a float,
and α ∈ [0, 1) smooths the label, so that the best log-odds are finite. The z of (4) and (5) are
log-odds: no probability is formed, and a loss of 10⁴ in float32 has its digits and its gradient.
A target that is none of those which are named makes the loss and its gradient NaN. A class with
z = −∞ is left out of (5): it has p = 0, and costs nothing unless it is the class of the example or
α > 0.

(4) with k = 1 is the loss of logistic regression, (5) with α = 0 that of softmax regression. The
derivative of (3) at its kink tⱼ zⱼ = 1 is 0.

>>> import jax.numpy as jnp
>>> from mlmath.neural import losses
>>> print(losses.squared(jnp.array([1.0, 3.0]), jnp.array([0.0, 1.0])))
2.5
>>> print(losses.softmax_cross_entropy(jnp.array([1e4, -1e4]), 1))
20000.0

References:
    Goodfellow, Bengio & Courville (2016), Deep Learning, §6.2.2, for (1), (4) and (5).
    Huber (1964), Robust estimation of a location parameter, §1, for (2).
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, table 12.1, for (3).
    Szegedy et al. (2016), Rethinking the Inception architecture, §7, for α in (5).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mlmath.arrays import Label, Labels, Real, Scalar

__all__ = ["binary_cross_entropy", "hinge", "huber", "softmax_cross_entropy", "squared"]

Targets = Label | Float[Real, " k"] | Int[Real, " k"] | Bool[Real, " k"]
TargetRows = Labels | Float[Real, "n k"] | Int[Real, "n k"] | Bool[Real, "n k"]


def squared(outputs: Float[Real, " k"], y: Label | Float[Real, " k"]) -> Float[Array, ""]:
    """Half the squared distance, eq. (1)."""
    y = _targets(outputs, y)
    return jnp.sum((_where(y == y, outputs) - y) ** 2) / 2


def huber(
    outputs: Float[Real, " k"], y: Label | Float[Real, " k"], *, threshold: Scalar = 1.0
) -> Float[Array, ""]:
    """Squared up to δ = ``threshold`` and linear beyond, eq. (2)."""
    y = _targets(outputs, y)
    residual = _where(y == y, outputs) - y
    threshold = jnp.asarray(threshold, residual.dtype)
    near = jnp.clip(residual, -threshold, threshold)
    return jnp.sum(near * (residual - near / 2))


def hinge(outputs: Float[Real, " k"], y: Targets) -> Float[Array, ""]:
    """What is missing to the margin 1, eq. (3)."""
    y = _targets(outputs, y)
    missing = 1 - (2 * y - 1) * _where((y == 0) | (y == 1), outputs)
    return jnp.sum(jnp.where(missing <= 0, 0, missing))


def binary_cross_entropy(outputs: Float[Real, " k"], y: Targets) -> Float[Array, ""]:
    """Negative log-likelihood of log-odds, eq. (4)."""
    y = _targets(outputs, y)
    z = _where((y >= 0) & (y <= 1), outputs)
    return jnp.sum(y * jax.nn.softplus(-z) + (1 - y) * jax.nn.softplus(z))


def softmax_cross_entropy(
    outputs: Float[Real, " k"], y: Label, *, smoothing: Scalar = 0.0
) -> Float[Array, ""]:
    """Negative log-likelihood of log-odds among k classes, eq. (5).

    Args:
        outputs: log-odds, up to a number common to all.
        y: the class, 0, …, k − 1.
        smoothing: α.

    Raises:
        ValueError: if there are fewer than two outputs.
    """
    k = outputs.shape[0]
    if k < 2:
        raise ValueError(f"softmax_cross_entropy needs at least two outputs, got {k}.")
    own = jnp.arange(k) == y
    smoothing = jnp.asarray(smoothing, outputs.dtype)
    share = jnp.where(own, 1 - smoothing, 0) + smoothing / k
    left_out = (share == 0) & jnp.isneginf(outputs)  # 0·∞ would be NaN
    log_p = jax.nn.log_softmax(_where(own.any(), outputs))
    return -jnp.sum(share * jnp.where(left_out, 0, log_p))


def _targets(outputs, y):
    """One target for each output, in their dtype."""
    if jnp.size(y) != jnp.size(outputs):
        raise ValueError(
            f"y must hold one number for each output, {jnp.size(outputs)}, got {jnp.size(y)}."
        )
    return jnp.reshape(jnp.asarray(y, outputs.dtype), outputs.shape)


def _where(known, outputs):
    """The outputs, or NaN times them if a target is none: a derivative keeps a factor."""
    return outputs * jnp.asarray(jnp.where(jnp.all(known), 1, jnp.nan), outputs.dtype)
