"""A network as the shell fits it: the target in standard units, or a probability per class.

With the network's outputs z(x) the prediction is

    a number       m + σ z(x),          m, σ mean and standard deviation of the fitted y   (1)
    classes        softmax(z(x))                                                (2)

and the error that training lowers is ½ (z − (y − m)/σ)², or the cross-entropy of (2).
"""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from mlmath.cli import methods, pipeline
from mlmath.cli.refusal import Refusal
from mlmath.compiled import compiled
from mlmath.data import columns as tables
from mlmath.neural import activations, losses, mlp
from mlmath.optimize import first_order, schedules, stochastic
from mlmath.statistics import standardise

__all__ = [
    "Architecture", "Network", "Prepared", "Training", "choices", "inner", "part", "prepared",
    "standard", "training", "with_net",
]  # fmt: skip


class Architecture(NamedTuple):
    """What fixes the shapes of a network and what its outputs mean."""

    hidden: tuple[int, ...]
    activation: str  # a name of ``neural.activations``
    classes: int  # 0 for a number
    seed: int


class Network(NamedTuple):
    """Parameters of (1) or (2)."""

    net: mlp.Params
    target: Any  # standardise.Params of y, () for classes


class Training(NamedTuple):
    """What the driver runs, and how its end is judged."""

    advance: Any  # (state, steps) -> state, losses
    validate: Any  # params -> loss on the rows that validate
    certify: Any  # params, steps -> certificate on the rows that were fitted
    state: stochastic.State  # the first
    rate: Any  # step -> learning rate


class Prepared(NamedTuple):
    """A network before its training."""

    composed: Any
    params: Any  # of the whole model
    network: Network
    rows: pipeline.Rows  # as the network is trained on them, with the weights of the fit


class _Fit(NamedTuple):
    params: Network


@cache
def part(architecture: Architecture) -> pipeline.Part:
    """The network as a part of a model; its ``fit`` draws it and takes the m and σ of (1)."""
    return pipeline.Part(partial(_start, architecture), partial(_predict, architecture))


def prepared(
    architecture: Architecture, gathered: Any, weight: np.ndarray, raw: Any, dtype: str
) -> Prepared:
    """Draw a network for the examples, and put them in the units in which it is trained.

    Raises:
        Refusal: if ``dtype`` does not hold the numbers, or how the target varies.
    """
    composed = pipeline.model(part(architecture), gathered.columns, raw)
    matrix = tables.encode(gathered.columns, gathered.features).matrix
    with np.errstate(over="ignore"):
        padded = pipeline.padded(matrix, gathered.y, weight, dtype)
    if not (np.isfinite(padded.X).all() and np.isfinite(padded.y).all()):
        raise Refusal(f"the table holds numbers that are too large for {dtype}; scale them down.")
    first = composed.fit(padded.X, padded.y, sample_weight=padded.weight).params
    network = inner(first, raw)
    _refuse_lost(network, gathered, dtype)
    y = standard(network, gathered.y).astype(dtype)
    Z = pipeline.features(methods.METHODS["mlp"], gathered.columns, raw, first, matrix, dtype)
    return Prepared(composed, first, network, pipeline.padded(Z, y, weight, dtype))


def inner(params: Any, raw: Any) -> Network:
    """The network in the parameters of the whole model."""
    return params.model if raw else params.model.model


def standard(network: Network, y: np.ndarray) -> np.ndarray:
    """Targets as the error takes them: a number in standard units."""
    if network.target == ():
        return y
    return (y - np.asarray(network.target.center)) / np.asarray(network.target.scale)


def with_net(params: Any, raw: Any, net: Any) -> Any:
    """The parameters of the whole model, with another net in them."""
    network = inner(params, raw)._replace(net=jax.tree.map(np.asarray, net))
    model = network if raw else params.model._replace(model=network)
    return jax.tree.map(np.asarray, params._replace(model=model))


def training(
    architecture: Architecture, given: Prepared, validating: np.ndarray, values: dict[str, Any]
) -> Training:
    """Bring a network to the driver.

    Args:
        architecture: of the network.
        given: its first parameters and its examples.
        validating: weights of the rows that validate.
        values: of the options of ``mlmath fit mlp``.
    """
    X, y, weight = map(jnp.asarray, given.rows)
    problem = choices(architecture.activation, architecture.classes) | {
        "l2": values["l2"],
        "sample_weight": weight,
    }
    rate = _rate(**values)
    begun = mlp.begin(
        _key(architecture), X, start=given.network.net,
        optimizer=getattr(first_order, values["optimizer"])(rate),
        **_shape(architecture), **problem,
    )  # fmt: skip

    def advance(state, steps):
        return stochastic.run(
            begun.loss, begun.optimizer, state, X, y, sample_weight=weight,
            batch_size=values["batch_size"], steps=steps,
        )  # fmt: skip

    def certify(net, steps):
        return _certificate(net, X, y, steps=steps, tolerance=values["tolerance"], **problem)

    kept = np.flatnonzero(validating)
    judged = pipeline.padded(
        given.rows.X[kept], given.rows.y[kept], validating[kept], str(given.rows.X.dtype)
    )
    validate = partial(
        _mean_error,
        Partial(mlp.loss, **choices(architecture.activation, architecture.classes)),
        judged,
    )
    return Training(advance, validate, certify, begun.state, rate)


def choices(activation: str, classes: int) -> dict[str, Any]:
    """Error and activation, as ``mlp.objective`` takes them."""
    error = losses.softmax_cross_entropy if classes else losses.squared
    return {"error": Partial(error), "activation": Partial(getattr(activations, activation))}


def _refuse_lost(network, gathered, dtype):
    """A hundredth of the deviation of y is less than y can be rounded by."""
    if network.target == ():
        return
    center, scale = float(network.target.center[0]), float(network.target.scale[0])
    if np.finfo(dtype).eps * abs(center) > scale / 100:
        wider = ", or say --dtype float64" if dtype == "float32" else ""
        raise Refusal(
            f"{dtype} does not hold how the target '{gathered.target}' varies beside its mean "
            f"{center:.6g}; subtract a number from it{wider}."
        )


def _key(architecture):
    return jax.random.key(architecture.seed)


def _shape(architecture):
    return {"hidden": architecture.hidden, "outputs": max(architecture.classes, 1)}


def _start(architecture, X, y, *, sample_weight):
    begun = mlp.begin(_key(architecture), X, sample_weight=sample_weight, **_shape(architecture))
    target: Any = ()
    if not architecture.classes:
        target = standardise.fit(y[:, None], sample_weight=sample_weight).params
    return _Fit(Network(begun.state.params, target))


def _predict(architecture, network, x):
    activation = getattr(activations, architecture.activation)
    outputs = mlp.predict(network.net, x, activation=activation)
    if architecture.classes:
        return jax.nn.softmax(outputs)
    return standardise.inverse(network.target, outputs)[0]


def _rate(*, learning_rate, schedule, steps, **_):
    return {
        "constant": lambda: schedules.constant(learning_rate),
        "cosine": lambda: schedules.cosine_decay(learning_rate, steps=steps),
        "one_cycle": lambda: schedules.one_cycle(learning_rate, steps=steps),
    }[schedule]()


_certificate = compiled()(mlp.certificate)


@compiled()
def _mean_error(loss, rows, params):
    errors = jax.vmap(loss, (None, 0, 0))(params, rows.X, rows.y)
    return rows.weight @ errors / jnp.sum(rows.weight)
