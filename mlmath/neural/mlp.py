"""The multilayer perceptron: dense layers with a nonlinear function between them.

For one example x = h₀ ∈ ℝᵈ and layers l = 1, …, L,

    hₗ = φ(Wₗ hₗ₋₁ + bₗ),  l < L,        z = W_L h_{L−1} + b_L ∈ ℝᵏ             (1)

with an activation φ (``neural.activations``). The outputs z are numbers, or log-odds, as the error
ℓ (``neural.losses``) reads them. Fitting looks for a minimum of

    L(θ) = Σᵢ sᵢ ℓ(z(xᵢ), yᵢ) + λ/2 Σₗ ‖Wₗ‖²,        θ = (Wₗ, bₗ)ₗ             (2)

by stochastic gradients of L/Σs, the weighted mean of

    ℓ(z(x), y) + π/2 Σₗ ‖Wₗ‖²,        π = λ/Σᵢ sᵢ                              (3)

(``optimize.stochastic``). With L = 1 it is linear, softmax or logistic regression.

L is not convex: the certificate's gap is no bound but the relative stationarity

    gap = ‖∇L(θ)‖ max(‖θ‖, 1) / L(null)                                         (4)

where all outputs of the null network are 0. Mini-batches rarely bring it below the tolerance, and
``converged`` is then false. ``steps`` counts the steps that were taken: one that would leave the
finite numbers is not (``optimize.finite``). A missing value or an unknown label in a row that
counts makes objective and gap NaN.

Each step draws its rows, so the law of the weights is *in distribution* and the answer is a
function of key and steps. Batches gather rows: where they are sharded they move. Derivatives in X,
y, λ, the optimizer's numbers and the start go through the steps, those of ``certificate.objective``
too, and are NaN where a step was refused; in the weights only those of (2) and π, draws have none.
Time: 6B Σₗ |Wₗ| operations per step on B examples, as three products of matrices per layer.

>>> import jax, jax.numpy as jnp, mlmath
>>> from mlmath.neural import losses, mlp
>>> from mlmath.optimize import stochastic
>>> X, y = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), jnp.array([0, 1, 1, 0])
>>> given = {"error": losses.binary_cross_entropy}
>>> fitted = mlp.fit(jax.random.key(0), X, y, **given)
>>> (mlmath.rows(mlp.predict)(fitted.params, X) > 0).squeeze().astype(int).tolist()
[0, 1, 1, 0]

A loop of one's own, which can log and save between its rounds, takes the same steps:

>>> loss, optimizer, state = mlp.begin(jax.random.key(0), X, **given)
>>> state, values = stochastic.run(loss, optimizer, state, X, y, steps=1000)
>>> bool(jnp.allclose(state.params.layers[0].weights, fitted.params.layers[0].weights))
True

References:
    Goodfellow, Bengio & Courville (2016), Deep Learning, §6, algorithm 6.3 for (1), §7.1.1 for (2).
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §11.3-11.5.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.tree_util import Partial
from jaxtyping import Array, Float

from mlmath.arrays import Count, Key, Real, Scalar, rows
from mlmath.certificate import Certificate, certify, first_order_tolerance
from mlmath.compiled import as_argument, compiled
from mlmath.neural import activations, dense, initialisations, losses
from mlmath.optimize import finite, stochastic, trees
from mlmath.optimize.adam import adam
from mlmath.optimize.chain import Optimizer
from mlmath.statistics.weights import known, present

__all__ = [
    "Fit", "Params", "Run", "begin", "certificate", "fit", "init", "loss", "objective",
    "penalised", "predict",
]  # fmt: skip


class Params(NamedTuple):
    """The network θ."""

    layers: tuple[dense.Params, ...]  # Wₗ, bₗ for l = 1, …, L


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: Certificate  # gap: relative stationarity, eq. (4)
    losses: Float[Array, " t"]  # mean of (3) over the batch of each step, before it


class Run(NamedTuple):
    """What ``optimize.stochastic.run`` takes."""

    loss: Partial  # (3) of ONE example
    optimizer: Optimizer  # guarded
    state: stochastic.State  # position 0


def init(
    key: Key,
    sizes: tuple[int, ...],
    *,
    weights: Callable[..., Float[Array, "o i"]] = initialisations.he_normal,
) -> Params:
    """Draw the first parameters; biases are 0.

    Args:
        key: a typed key.
        sizes: d, the sizes of the hidden layers, and k.
        weights: (key, outputs, inputs) -> W, one of ``neural.initialisations``.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes must be two or more positive numbers, got {sizes}.")
    keys = jax.random.split(key, len(sizes) - 1)
    pairs = zip(keys, sizes[:-1], sizes[1:], strict=True)
    return Params(tuple(dense.init(k, i, o, weights=weights) for k, i, o in pairs))


def predict(
    params: Params, x: Float[Real, " d"], *, activation: Callable[..., Any] = activations.relu
) -> Float[Array, " k"]:
    """Outputs z for ONE example, eq. (1): log-odds where the error is a cross-entropy."""
    *hidden, last = params.layers
    h = jnp.asarray(x)
    for layer in hidden:
        h = activation(dense.predict(layer, h))
    return dense.predict(last, h)


def loss(
    params: Params,
    x: Float[Real, " d"],
    y: losses.Targets,
    *,
    error: Callable[..., Any] = losses.squared,
    activation: Callable[..., Any] = activations.relu,
) -> Float[Array, ""]:
    """Error ℓ of the outputs for ONE example."""
    return error(predict(params, x, activation=activation), y)


def penalised(
    params: Params,
    x: Float[Real, " d"],
    y: losses.Targets,
    *,
    penalty: Scalar = 0.0,
    error: Callable[..., Any] = losses.squared,
    activation: Callable[..., Any] = activations.relu,
) -> Float[Array, ""]:
    """Error of ONE example and its share π = ``penalty`` of the penalty, eq. (3)."""
    value = loss(params, x, y, error=error, activation=activation)
    return value + jnp.asarray(penalty, value.dtype) * _penalty(params)


def objective(
    params: Params,
    X: Float[Real, "n d"],
    y: losses.TargetRows,
    *,
    error: Callable[..., Any] = losses.squared,
    activation: Callable[..., Any] = activations.relu,
    l2: Scalar = 0.0,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Penalised objective L, eq. (2)."""
    X, y, weight = _present(X, y, sample_weight)
    return _total(params, X, y, weight, l2, error, activation)


def begin(
    key: Key,
    X: Float[Real, "n d"],
    *,
    hidden: tuple[int, ...] = (64,),
    outputs: int = 1,
    error: Callable[..., Any] = losses.squared,
    activation: Callable[..., Any] = activations.relu,
    optimizer: Optimizer | None = None,
    l2: Scalar = 0.0,
    sample_weight: Float[Real, " n"] | None = None,
    start: Params | None = None,
) -> Run:
    """Loss (3), guarded optimizer and position 0 of a run; arguments as for :func:`fit`."""
    first, later = jax.random.split(key)
    sizes = (X.shape[1], *hidden, outputs)
    params = init(first, sizes) if start is None else start
    if sizes != (found := _sizes(params)):
        raise ValueError(f"start must have layers of the sizes {sizes}, got {found}.")
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.result_type(X)), params)
    total = X.shape[0] if sample_weight is None else jnp.sum(sample_weight)
    guarded = finite.guarded(adam(1e-3) if optimizer is None else optimizer)
    functions = {"error": as_argument(error), "activation": as_argument(activation)}
    loss = Partial(penalised, penalty=jnp.asarray(l2, jnp.result_type(X)) / total, **functions)
    return Run(loss, guarded, stochastic.init(later, params, guarded))


@compiled(static=("hidden", "outputs", "batch_size", "steps"))
def fit(
    key: Key,
    X: Float[Real, "n d"],
    y: losses.TargetRows,
    *,
    hidden: tuple[int, ...] = (64,),
    outputs: int = 1,
    error: Callable[..., Any] = losses.squared,
    activation: Callable[..., Any] = activations.relu,
    optimizer: Optimizer | None = None,
    l2: Scalar = 0.0,
    sample_weight: Float[Real, " n"] | None = None,
    batch_size: int = 32,
    steps: int = 1000,
    start: Params | None = None,
    tolerance: Scalar | None = None,
) -> Fit:
    """Draw a network and take steps down the mean of (3).

    Args:
        key: a typed key, for the first parameters and for the batches.
        X: features, best standardised.
        y: targets; one number, or one for each output, per example.
        hidden: sizes of the hidden layers.
        outputs: k.
        error: ℓ(z, y) of ONE example; the numbers of a ``Partial`` are traced.
        activation: φ, likewise.
        optimizer: any of ``optimize.first_order``, its numbers traced; Adam at 10⁻³ if None.
        l2: λ, the penalty on the squared weights, in the units of the summed loss.
        sample_weight: sᵢ; 2 draws the row twice as often, 0 leaves it out.
        batch_size: examples per step.
        steps: how many.
        start: first parameters; drawn with He's variance if None.
        tolerance: largest gap that counts as converged; ε^⅔ of the dtype if None.
    """
    loss, optimizer, state = begin(
        key, X, hidden=hidden, outputs=outputs, error=error, activation=activation,
        optimizer=optimizer, l2=l2, sample_weight=sample_weight, start=start,
    )  # fmt: skip
    state, values = stochastic.run(
        loss, optimizer, state, X, y, sample_weight=sample_weight, batch_size=batch_size,
        steps=steps,
    )  # fmt: skip
    proof = certificate(
        state.params, X, y, error=error, activation=activation, l2=l2,
        sample_weight=sample_weight, steps=state.optimizer.taken, tolerance=tolerance,
    )  # fmt: skip
    return Fit(state.params, proof, values)


def certificate(
    params: Params,
    X: Float[Real, "n d"],
    y: losses.TargetRows,
    *,
    error: Callable[..., Any] = losses.squared,
    activation: Callable[..., Any] = activations.relu,
    l2: Scalar = 0.0,
    sample_weight: Float[Real, " n"] | None = None,
    steps: Count = 0,
    tolerance: Scalar | None = None,
) -> Certificate:
    """Certificate of any parameters, eq. (4); ``steps`` says after how many."""
    X, y, weight = _present(X, y, sample_weight)
    total, far = jnp.sum(weight), jnp.maximum(trees.norm(params), 1)
    given = (params, X, y, weight / total, l2 / total, error, activation)
    value, slope = jax.value_and_grad(_total)(*given)
    null = _cost(jnp.zeros((X.shape[0], _sizes(params)[-1]), X.dtype), y, weight, error)
    return certify(
        value * total, trees.norm(slope) * far * total, null,
        steps=steps, tolerance=first_order_tolerance(X) if tolerance is None else tolerance,
    )  # fmt: skip


def _sizes(params):
    return (params.layers[0].weights.shape[1], *(layer.bias.size for layer in params.layers))


def _penalty(params):
    return sum(jnp.sum(jnp.square(layer.weights)) for layer in params.layers) / 2


def _present(X, y, weight):
    """Rows that count, and their weights; NaN where a number is missing, or if all are 0."""
    X, y = jnp.asarray(X), jnp.asarray(y, jnp.result_type(X))
    weight = jnp.ones(X.shape[:1], X.dtype) if weight is None else weight
    missing = jnp.sum(0 * jnp.reshape(y, (X.shape[0], -1)), axis=1)
    X, _, weight = present(X, missing, weight)
    return X, jnp.where(jnp.isfinite(y), y, 0), known(weight, weight == weight)


def _total(params, X, y, weight, penalty, error, activation):
    z = rows(partial(predict, activation=activation))(params, X)
    return _cost(z, y, weight, error) + jnp.asarray(penalty, z.dtype) * _penalty(params)


def _cost(z, y, weight, error):
    absent = (weight == 0) & ~jnp.isfinite(jax.vmap(error)(z, y))
    z, y = (jnp.where(absent, lax.stop_gradient(a.T), a.T).T for a in (z, y))  # no 0·NaN
    return weight @ jnp.where(absent, 0, jax.vmap(error)(z, y))
