"""The derivative of a plane that fits incomplete rows, horizontal to the rotations of its loadings.

At the answer of ``latent.parameter_expansion`` the gradient of L is 0. By Fisher's identity it is,
with E, gⱼ, Gⱼ, N and S of eq. (4) there,

    ∂L/∂βⱼ = −gⱼ/σ²,    ∂L/∂log σ² = ½ (N − Σᵢⱼ sᵢmᵢⱼ E[(xᵢⱼ − βⱼᵀu)²]/σ²)      (1)

and the derivative of the answer is that of the point where (1) is 0, in coordinates z and ζ in
which the Hessian of what a step minimises is 1,

    βⱼ + σLⱼ⁻ᵀzⱼ,    σ² exp(ζ√(2/N)),    Gⱼ = LⱼLⱼᵀ                             (2)

Rotations of W leave L alone, so that its Hessian is singular along them. Of the change δ of W the
part that rotates it is held by adding to L

    ½ Σ_{a<b} (S/σ²) (Wδᵀ − δWᵀ)²_{ab} / (‖w_a‖² + ‖w_b‖²)      w_a, w_b rows of W    (3)

with which the Hessian is regular, and which is 0 at one of the rotations of each minimum: there
Wδᵀ is symmetric, and derivatives of all orders are those of that minimum.

Time O(n(dk² + k³)) per step of conjugate gradients, memory O(n(d + k²)).

>>> import jax, jax.numpy as jnp
>>> from mlmath.latent import horizontal_derivative, parameter_expansion
>>> X = jnp.array([[-1.0, 1.0], [1.0, 1.0], [0.0, -2.0]])
>>> X, M, s = jnp.concatenate([X, -X]), jnp.ones((6, 2)), jnp.ones(6)
>>> start = parameter_expansion.Point(jnp.array([[0.0, 0.1], [0.0, 1.0]]), jnp.array(1.0))
>>> point = parameter_expansion.minimise(start, 100.0, 0.0, 100, X, M, s).point
>>> noise = lambda X: horizontal_derivative.attached(point, X, M, s).noise
>>> print(point.noise.round(3), jax.grad(noise)(X)[:, 0].round(2) + 0.0)
0.667 [-0.33  0.33  0.    0.33 -0.33  0.  ]

References:
    Louis (1982), Finding the observed information matrix when using the EM algorithm, Journal of
        the Royal Statistical Society B 44(2), §3 (eq. 1).
    Absil, Mahony & Sepulchre (2008), Optimization Algorithms on Matrix Manifolds, §3.6.2
        (horizontal space).
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import solve_triangular
from jaxtyping import Float

from mlmath.arrays import Real
from mlmath.calculus import implicit
from mlmath.latent import parameter_expansion
from mlmath.latent.parameter_expansion import Point

__all__ = ["attached"]


def attached(
    point: Point, X: Float[Real, "n d"], M: Float[Real, "n d"], weight: Float[Real, " n"]
) -> Point:
    """Point with WWᵀ diagonal, with the derivative of ∇L = 0 in X and the weights.

    Args:
        point: where L has a minimum, or steps ended.
        X: finite rows.
        M: 1 where an entry is observed, else 0.
        weight: sᵢ, 0 where a row observes nothing.
    """
    point, fixed = lax.stop_gradient((point, (X, M, weight)))
    coefficients, noise = point
    sums = parameter_expansion.sums(point, *fixed)
    L, total = parameter_expansion.factors(sums, point)[1:], sums.moments[0, 0]
    W, deviation, unit = coefficients[:, 1:], jnp.sqrt(noise), jnp.sqrt(2 / sums.entries)
    lengths = jnp.sum(W**2, axis=0)
    together = lengths[:, None] + lengths[None]
    stiffness = jnp.where(together == 0, 0, total / noise / jnp.where(together == 0, 1, together))

    def moved(z):
        change = solve_triangular(L, z[0][:, :, None], lower=True, trans=1)[:, :, 0]
        return Point(coefficients + deviation * change, noise * jnp.exp(unit * z[1]))

    @jax.default_matmul_precision("highest")
    def slope(z, X, weight):
        there = moved(z)
        now = parameter_expansion.sums(there, X, fixed[1], weight)
        turn = W.T @ (there.coefficients[:, 1:] - W)
        held = jnp.pad(W @ (stiffness * (turn - turn.T)), ((0, 0), (1, 0)))
        down = held - now.pull / there.noise
        down = solve_triangular(L, down[:, :, None], lower=True)[:, :, 0]
        return deviation * down, unit / 2 * (now.entries - now.squares / there.noise)

    zero = jnp.zeros_like(coefficients), jnp.zeros_like(noise)
    return moved(implicit.attach_symmetric(slope, zero, X, weight))
