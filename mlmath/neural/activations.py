"""Activations: the nonlinear functions between the layers of a network.

Number by number, with σ the logistic function, Φ the distribution function of a standard normal
number, a slope s and a scale α,

    identity   x                          relu         max(x, 0)                  (1)
    sigmoid    σ(x) = 1 / (1 + e⁻ˣ)       leaky_relu   x if x > 0 else s x        (2)
    tanh       (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ)      elu          x if x > 0 else α (eˣ − 1) (3)
    softplus   log(1 + eˣ)                silu         x σ(x)                     (4)
    gelu       x Φ(x)                                                          (5)

and of a vector, whose outputs are positive and sum to one,

    softmax    e^{x_j} / Σₘ e^{xₘ}                                             (6)

At the kinks of ``relu``, ``leaky_relu`` and ``elu`` the derivative at 0 is the one from the left:
0, s and α. For x → ∞ sigmoid and tanh go to 1, the others of (1) to (5) like x; for x → −∞ tanh
goes to −1, elu to −α, leaky_relu like s x, and but for the identity the rest to 0. No value and no
first or second derivative of a finite x overflows on the way; x = ±∞ itself has no derivative in
gelu and silu. NaN stays NaN.

>>> import jax, jax.numpy as jnp
>>> from mlmath.neural import activations
>>> print(activations.relu(jnp.array([-2.0, 0.0, 3.0])), activations.softmax(jnp.zeros(4)))
[0. 0. 3.] [0.25 0.25 0.25 0.25]
>>> print(jax.grad(activations.relu)(0.0), jax.grad(activations.silu)(0.0))
0.0 0.5

References:
    Goodfellow, Bengio & Courville (2016), Deep Learning, §6.3, for (1)-(4), §6.2.2.3 for (6).
    Clevert, Unterthiner & Hochreiter (2016), Fast and accurate deep network learning by
        exponential linear units, eq. 15, for the elu.
    Hendrycks & Gimpel (2016), Gaussian error linear units, §2, for (5) and the silu.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Real, Scalar

__all__ = [
    "elu", "gelu", "identity", "leaky_relu", "relu", "sigmoid", "silu", "softmax", "softplus",
    "tanh",
]  # fmt: skip


def identity(x: Float[Real, "..."]) -> Float[Array, "..."]:
    """The number itself, eq. (1): with it a layer is linear."""
    return jnp.asarray(x)


def sigmoid(x: Float[Real, "..."]) -> Float[Array, "..."]:
    """Logistic function, eq. (2)."""
    return jax.nn.sigmoid(x)


def tanh(x: Float[Real, "..."]) -> Float[Array, "..."]:
    """Hyperbolic tangent 2σ(2x) − 1, eq. (3)."""
    return jnp.tanh(x)


def relu(x: Float[Real, "..."]) -> Float[Array, "..."]:
    """Rectifier, eq. (1)."""
    return jnp.where(x <= 0, 0, x)


def leaky_relu(x: Float[Real, "..."], *, slope: Scalar = 0.01) -> Float[Array, "..."]:
    """Rectifier that lets a share s = ``slope`` of negative numbers through, eq. (2)."""
    return jnp.where(x > 0, x, jnp.asarray(slope, x.dtype) * x)


def elu(x: Float[Real, "..."], *, alpha: Scalar = 1.0) -> Float[Array, "..."]:
    """Exponential linear unit, eq. (3); smooth at 0 for α = ``alpha`` = 1."""
    negative = jnp.where(x > 0, 0, x)
    return jnp.where(x > 0, x, jnp.asarray(alpha, x.dtype) * jnp.expm1(negative))


def gelu(x: Float[Real, "..."]) -> Float[Array, "..."]:
    """Gaussian error linear unit, eq. (5), by erf and not by its approximation with tanh."""
    x = jnp.asarray(x)
    u = jnp.clip(-x / math.sqrt(2), -30, 30)  # erfc(30) < 10⁻³⁹²; 0·∞ beyond would be NaN
    return x * (jax.lax.erfc(u) / 2)


def silu(x: Float[Real, "..."]) -> Float[Array, "..."]:
    """Sigmoid linear unit, eq. (4), also known as swish."""
    return jnp.asarray(x) * jax.nn.sigmoid(x)


def softplus(x: Float[Real, "..."]) -> Float[Array, "..."]:
    """Smooth rectifier, eq. (4), whose derivative is the sigmoid."""
    return jax.nn.softplus(x)


def softmax(x: Float[Real, " k"]) -> Float[Array, " k"]:
    """Probabilities from log-odds, eq. (6); a number added to all of them changes nothing."""
    return jax.nn.softmax(x)
