"""The perceptron: Rosenblatt's rule, which learns from its mistakes only.

For one example x ∈ ℝᵈ with label y ∈ {0, 1}, and t = 2y − 1 ∈ {−1, +1},

    ŷ = [z > 0],        z = wᵀx + b                                            (1)

The examples are presented in order, again and again; after a mistake, t z ≤ 0,

    w ← w + t x,        b ← b + t                                              (2)

a step down the subgradient of max(0, −t z), and after a correct answer nothing changes. So
with mᵢ the number of mistakes on example i

    w = w₀ + Σᵢ mᵢ tᵢ xᵢ,        b = b₀ + Σᵢ mᵢ tᵢ                               (3)

If some (u, v) with ‖u‖² + v² = 1 has tᵢ(uᵀxᵢ + v) ≥ γ > 0 for all i, then from (w₀, b₀) = 0,
whatever the order (Novikoff),

    Σᵢ mᵢ ≤ (R/γ)²,        R² = maxᵢ ‖xᵢ‖² + 1                                  (4)

If no plane separates the classes the rule never ends and the last iterate comes back.

sᵢ is the number of times in a row that example i is presented (its fraction is dropped), the law
*in place*: with q = ‖x‖² + 1, s presentations at once make min(s, ⌊−t z/q⌋ + 1) mistakes if
t z ≤ 0. Training minimises no convex objective. The certificate counts: L is the weight of the
examples that the answer gets wrong, its gap L/Σs the share of them, a bound since L* ≥ 0 and
the null model z = 0 decides nothing; ``converged`` means that the classes are separated.
A row with sᵢ > 0 whose label is neither 0 nor 1 makes the certificate NaN, and so do weights that
are all 0. An epoch after which w or b is no finite number is not taken, and ends the training.

The counts mᵢ are discrete, so the answer is piecewise smooth: its derivative in X is that of
(3) with mᵢ fixed, and it is zero in the labels and in the weights.

Time O(nd) per epoch, one example after the other: rows that are sharded travel.

>>> import jax.numpy as jnp
>>> from mlmath.linear import perceptron
>>> X, y = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), jnp.array([0, 0, 0, 1])
>>> fitted = perceptron.fit(X, y)
>>> print(fitted.params.weights, fitted.params.bias, fitted.mistakes)
[3. 2.] -4.0 [2. 5. 4. 7.]
>>> bool(fitted.certificate.converged)
True

References:
    Rosenblatt (1962), Principles of Neurodynamics, §5.
    Novikoff (1962), On convergence proofs for perceptrons, theorem 1.
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §4.5.1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.arrays import Count, Label, Labels, Real, Scalar
from mlmath.certificate import Certificate, certify
from mlmath.compiled import compiled
from mlmath.statistics.weights import known, present

__all__ = ["Fit", "Params", "fit", "log_odds", "loss", "objective", "predict"]


class Params(NamedTuple):
    """The plane wᵀx + b = 0 that separates the classes."""

    weights: Float[Array, " d"]  # w
    bias: Float[Array, ""]  # b


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: Certificate  # gap: share of the weight that is classified wrongly
    mistakes: Float[Array, " n"]  # mᵢ, mistakes made on each example


def log_odds(params: Params, x: Float[Real, " d"]) -> Float[Array, ""]:
    """Score z of ONE example, whose sign is the answer."""
    return jnp.vdot(params.weights, x) + params.bias


def predict(params: Params, x: Float[Real, " d"]) -> Float[Array, ""]:
    """Class 0 or 1 of ONE example, eq. (1)."""
    return jnp.where(log_odds(params, x) > 0, jnp.ones_like(params.bias), 0)


def loss(params: Params, x: Float[Real, " d"], y: Label) -> Float[Array, ""]:
    """Perceptron criterion max(0, −t z) of ONE example; (2) is a step down its subgradient."""
    return jnp.maximum(0, -(2 * y - 1) * log_odds(params, x))


def objective(
    params: Params,
    X: Float[Real, "n d"],
    y: Labels,
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Weight of the examples with t z ≤ 0."""
    return _objective(params, *_present(X, y, sample_weight))


@compiled()
def fit(
    X: Float[Real, "n d"],
    y: Labels,
    *,
    sample_weight: Float[Real, " n"] | None = None,
    start: Params | None = None,
    tolerance: Scalar = 0.0,
    max_steps: Count = 100,
) -> Fit:
    """Present the examples in order until an epoch passes without a mistake.

    Args:
        X: features.
        y: labels 0 and 1.
        sample_weight: sᵢ, how often in a row the example is presented.
        start: w₀ and b₀; zeros if None.
        tolerance: largest share of wrong answers that counts as converged.
        max_steps: most epochs.
    """
    X, y, weight = _present(X, y, sample_weight)
    sign = 2 * y - 1
    first = Params(jnp.zeros_like(X[0]), jnp.zeros_like(y[0])) if start is None else start
    first = jax.tree.map(lambda a: jnp.asarray(a, X.dtype), first)
    mistakes, epochs = _train(*lax.stop_gradient((first, X, sign, jnp.floor(weight))), max_steps)
    push = mistakes * lax.stop_gradient(sign)
    params = Params(first.weights + push @ X, first.bias + push.sum())
    return Fit(
        params,
        certify(
            lost := _objective(params, X, y, weight), lost, weight.sum(),
            steps=epochs, tolerance=tolerance,
        ),
        mistakes,
    )  # fmt: skip


def _present(X, y, sample_weight):
    """Rows that count; a label not 0 or 1, or a NaN, that counts, or no weight, makes NaN."""
    X, y, weight = present(X, y, sample_weight)
    return X, y, known(weight, ((y == 0) | (y == 1)) & jnp.isfinite(X).all(axis=1))


def _train(params, X, sign, presented, max_steps):
    """Mistakes mᵢ and epochs, by (2)."""
    squares = jnp.sum(X**2, axis=1) + 1

    def present_one(params, row):
        x, t, s, q = row
        margin = t * log_odds(params, x)
        m = jnp.where(margin <= 0, jnp.minimum(s, jnp.floor(-margin / q) + 1), 0 * s)
        return Params(params.weights + m * t * x, params.bias + m * t), m

    def epoch(state):
        before, mistakes, _, steps = state
        params, made = lax.scan(present_one, before, (X, sign, presented, squares))
        taken = jnp.isfinite(params.weights).all() & jnp.isfinite(params.bias)
        kept = jax.tree.map(lambda a, b: jnp.where(taken, a, b), params, before)
        made = jnp.where(taken, made, 0)
        return kept, mistakes + made, made.sum(), steps + 1

    start = (params, jnp.zeros_like(sign), jnp.inf * jnp.ones_like(sign[0]), jnp.asarray(0))
    state = lax.while_loop(lambda s: (s[2] > 0) & (s[3] < max_steps), epoch, start)
    return state[1], state[3]


def _objective(params, X, y, weight):
    margin = (2 * y - 1) * (X @ params.weights + params.bias)
    right = (margin > 0) & (margin < jnp.inf)  # false for NaN and beyond the range of the dtype
    return weight @ (~right).astype(weight.dtype)
