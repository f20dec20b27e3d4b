"""Codes of rows: how much of each non-negative component a row is made of.

Given components, the rows hⱼ ≥ 0 of H ∈ ℝᵏˣᵈ, an example x ∈ ℝᵈ has the codes w and, from them,
the reconstruction x̂,

    w = argmin_{w ≥ 0} ½ ‖x − wH‖²,        x̂ = wH                              (1)

non-negative least squares of size k (``linalg.nonnegative_least_squares``, of G = HHᵀ and c = Hx,
exact to rounding). What the reconstruction misses, with row weights sᵢ, is a function of the
components alone,

    L(H) = ½ Σᵢ sᵢ ‖xᵢ − wᵢH‖²,        L(H) = ∞ where an entry of H is negative    (2)

It does not change when a row of H is multiplied by a positive number or rows are exchanged, and as
the codes are where they are best, its gradient takes them as given:

    ∂L/∂H = AH − B,        A = Σᵢ sᵢ wᵢᵀwᵢ,   B = Σᵢ sᵢ wᵢᵀxᵢ                     (3)

Codes are piecewise smooth. With the set P = {j : wⱼ > 0} fixed they solve

    G_PP w_P = c_P,        wⱼ = 0 for the others                               (4)

whose derivatives of any order in x and H are theirs almost everywhere: not where some wⱼ = 0 is on
the verge of growing. Where G_PP is singular, as with two components alike, derivatives are NaN.

Time O(ndk) and k² for each row and sweep, memory O(nk). Many examples of the same components, under
``vmap`` or ``mlmath.rows``, are one search.

>>> import jax.numpy as jnp
>>> from mlmath.latent import nonnegative_codes
>>> params = nonnegative_codes.Params(jnp.array([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]]))
>>> w = nonnegative_codes.transform(params, jnp.array([2.0, 3.0, 4.0]))
>>> print(w, nonnegative_codes.inverse(params, w))
[2. 5.] [2. 3. 4.]

References:
    Lee & Seung (1999), Learning the parts of objects by non-negative matrix factorization,
        Nature 401, eq. 1 and fig. 1.
    Golub & Pereyra (1973), The differentiation of pseudo-inverses and nonlinear least squares
        problems whose variables separate, SIAM Journal on Numerical Analysis 10(2), §2 (eq. 3).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

from mlmath.absence import within
from mlmath.arrays import Real
from mlmath.calculus import implicit
from mlmath.compiled import compiled
from mlmath.latent.alternating import stationary
from mlmath.linalg import gram, nonnegative_least_squares
from mlmath.statistics.weights import present_rows

__all__ = [
    "Codes", "Params", "attach", "inverse", "loss", "missed", "objective", "of_rows", "products",
    "transform",
]  # fmt: skip


class Params(NamedTuple):
    """The components of which rows are made."""

    components: Float[Array, "k d"]  # H ≥ 0


class Codes(NamedTuple):
    """Outcome of :func:`of_rows`."""

    codes: Float[Array, "n k"]
    gain: Float[Array, " n"]  # of the best single code beyond rounding; 0 where codes are exact


@compiled()
def transform(params: Params, x: Float[Real, " d"]) -> Float[Array, " k"]:
    """Codes w of ONE example, eq. (1)."""
    H, X = jnp.asarray(params.components), jnp.asarray(x)[None]
    codes = _search(*lax.stop_gradient((H, X[0])))
    return attach(codes[None], H, X)[0]


@compiled()
def inverse(params: Params, w: Float[Real, " k"]) -> Float[Array, " d"]:
    """Reconstruction x̂ of ONE example from its codes, eq. (1)."""
    return jnp.matmul(w, params.components)


@compiled()
def loss(params: Params, x: Float[Real, " d"]) -> Float[Array, ""]:
    """Squared distance of ONE example from its reconstruction, halved."""
    return jnp.sum(jnp.square(x - inverse(params, transform(params, x)))) / 2


@compiled()
def objective(
    params: Params, X: Float[Real, "n d"], *, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, ""]:
    """What the reconstruction misses, L of eq. (2)."""
    X, weight = present_rows(X, sample_weight)
    X = within(X, weight, jnp.zeros_like(X[0]), unit=jnp.asarray(jnp.finfo(X.dtype).max ** 0.25))
    H = jnp.asarray(params.components)
    W = attach(of_rows(H, X).codes, H, X)
    outside = jnp.where((H < 0).any(), jnp.inf, 0)
    return stationary(missed, (W,), (), (H, X, weight)) + outside


def of_rows(
    components: Float[Real, "k d"],
    X: Float[Real, "n d"],
    *,
    start: Float[Real, "n k"] | None = None,
) -> Codes:
    """Codes of all rows, eq. (1), without their derivative.

    Args:
        components: H ≥ 0.
        X: rows.
        start: codes near those sought; zeros if None.
    """
    H, X = lax.stop_gradient((jnp.asarray(components), jnp.asarray(X)))
    C = H @ X.T
    W = jnp.zeros_like(C) if start is None else jnp.asarray(start).T
    found = nonnegative_least_squares.minimize(H @ H.T, C, W)
    return Codes(found.W.T, found.gain)


def attach(
    codes: Float[Real, "n k"], components: Float[Real, "k d"], X: Float[Real, "n d"]
) -> Float[Array, "n k"]:
    """``codes``, as :func:`of_rows` finds them, with the derivative of eq. (4)."""
    H, X = jnp.asarray(components), jnp.asarray(X)
    G = H @ H.T

    def of_one(w, c):
        def slope(v, G, c):
            """Gradient in v of a quadratic that is ‖v‖²/2 outside P."""
            return jnp.where(w > 0, G @ jnp.where(w > 0, v, 0) - c, v)

        return implicit.attach_symmetric(slope, w, G, c)

    return jax.vmap(of_one)(lax.stop_gradient(jnp.asarray(codes)), X @ H.T)


def missed(
    codes: tuple[Float[Real, "n k"]],
    components: Float[Real, "k d"],
    X: Float[Real, "n d"],
    weight: Float[Real, " n"],
) -> Float[Array, ""]:
    """½ Σᵢ sᵢ ‖xᵢ − wᵢH‖² with given codes, eq. (2)."""
    return gram.row_sum(_squares, (X, codes[0], weight), components)


def products(
    codes: Float[Real, "n k"], X: Float[Real, "n d"], weight: Float[Real, " n"]
) -> tuple[Float[Array, "k k"], Float[Array, "k d"]]:
    """A and B of eq. (3)."""
    return gram.row_sum(_products, (X, codes, weight))


@custom_vmap
def _search(H, x):
    return of_rows(H, x[None]).codes[0]


@_search.def_vmap
@jax.default_matmul_precision("highest")
def _(size, batched, H, x):
    """Many examples of the same components are one search, whatever batches it."""
    if batched == [False, True]:
        return of_rows(H, x).codes, True
    axes = [0 if many else None for many in batched]
    return jax.vmap(lambda H, x: of_rows(H, x[None]).codes[0], axes)(H, x), True


@jax.default_matmul_precision("highest")
def _squares(X, W, weight, H):
    return weight @ jnp.sum((X - W @ H) ** 2, axis=1) / 2


@jax.default_matmul_precision("highest")
def _products(X, W, weight):
    scaled = weight[:, None] * W
    return gram.symmetric_product(scaled, W), scaled.T @ X
