"""A network as the shell fits it: its units, its parts, its training."""

from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import polars as pl
import pytest

from mlmath.cli import networks, pipeline
from mlmath.data import columns as tables
from mlmath.neural import losses, mlp

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 2)) * [1.0, 100.0] + [0.0, 1e3]
Y = 5e3 + 70 * X[:, 0]
WEIGHT = np.where(np.arange(30) < 24, 1.0, 0.0)
NUMBER = networks.Architecture((5,), "tanh", 0, 3)
CLASSES = NUMBER._replace(classes=3)
VALUES = {
    "optimizer": "adam", "learning_rate": 0.01, "schedule": "cosine", "steps": 40,
    "batch_size": 8, "l2": 0.1, "tolerance": None,
}  # fmt: skip


def gathered(y):
    features = pl.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    return SimpleNamespace(features=features, columns=tables.describe(features), y=y)


def given(architecture=NUMBER, y=Y, raw=False):
    return networks.prepared(architecture, gathered(y), WEIGHT, raw, "float64")


def test_a_number_is_predicted_in_its_own_units():
    """Eq. (1), with mean and deviation of the rows that were fitted."""
    found = given()
    center, scale = Y[:24].mean(), Y[:24].std()
    Z = (X - X[:24].mean(axis=0)) / X[:24].std(axis=0)
    np.testing.assert_allclose(found.rows.X[:30], Z, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.rows.y[:30], (Y - center) / scale, rtol=1e-9, atol=1e-12)
    net = jax.tree.map(np.asarray, found.network.net).layers
    z = np.tanh(Z @ net[0].weights.T + net[0].bias) @ net[1].weights.T + net[1].bias
    predicted = pipeline.predict(found.composed, found.params, X, "float64")
    np.testing.assert_allclose(predicted, center + scale * z[:, 0], rtol=1e-9)


def test_classes_are_predicted_by_their_probabilities():
    """Eq. (2)."""
    y = np.arange(30) % 3.0
    found = given(CLASSES, y)
    np.testing.assert_array_equal(found.rows.y[:30], y)
    predicted = pipeline.predict(found.composed, found.params, X, "float64")
    net = jax.tree.map(np.asarray, found.network.net).layers
    z = np.tanh(found.rows.X[:30] @ net[0].weights.T + net[0].bias) @ net[1].weights.T
    e = np.exp(z + net[1].bias)
    np.testing.assert_allclose(predicted, e / e.sum(axis=1, keepdims=True), rtol=1e-9)


@pytest.mark.parametrize("raw", [True, False])
def test_another_net_takes_the_place_of_the_first(raw):
    found = given(raw=raw)
    net = jax.tree.map(lambda a: a + 1.0, found.network.net)
    replaced = networks.with_net(found.params, raw, net)
    assert jax.tree.structure(replaced) == jax.tree.structure(found.params)
    np.testing.assert_array_equal(
        networks.inner(replaced, raw).net.layers[0].bias, net.layers[0].bias
    )
    np.testing.assert_array_equal(
        networks.inner(replaced, raw).target.center, found.network.target.center
    )


def test_the_driver_runs_what_mlp_fit_runs():
    found = given()
    training = networks.training(NUMBER, found, np.zeros(30), VALUES)
    state = training.state
    for steps in (25, 15):
        state, _ = training.advance(state, steps)
    optimizer = networks.first_order.adam(networks.schedules.cosine_decay(0.01, steps=40))
    rows, activation = found.rows, networks.activations.tanh
    whole = mlp.fit(
        jax.random.key(3), rows.X, rows.y, hidden=(5,), activation=activation,
        error=losses.squared, optimizer=optimizer, l2=0.1, sample_weight=rows.weight,
        batch_size=8, steps=40,
    )  # fmt: skip
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12), state.params, whole.params)
    proof = training.certify(state.params, 40)
    np.testing.assert_allclose(proof.gap, whole.certificate.gap, rtol=1e-10)
    np.testing.assert_allclose(proof.objective, whole.certificate.objective, rtol=1e-12)


def test_the_validation_loss_is_the_weighted_mean_over_its_rows():
    found, weight = given(), np.where(np.arange(30) < 27, 0.0, np.arange(30.0))
    training = networks.training(NUMBER, found, weight, VALUES)
    net = found.network.net
    errors = [
        float(mlp.loss(net, x, y, activation=networks.activations.tanh))
        for x, y in zip(found.rows.X[27:30], found.rows.y[27:30], strict=True)
    ]
    expected = np.average(errors, weights=[27, 28, 29])
    np.testing.assert_allclose(training.validate(net), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("schedule", "rates"), [("constant", [0.01, 0.01]), ("cosine", [0.01, 0.005])]
)
def test_the_rate_follows_the_schedule(schedule, rates):
    training = networks.training(NUMBER, given(), np.zeros(30), VALUES | {"schedule": schedule})
    np.testing.assert_allclose([training.rate(0), training.rate(20)], rates, rtol=1e-12)


def test_the_same_architecture_is_the_same_part():
    assert networks.part(NUMBER) is networks.part(networks.Architecture((5,), "tanh", 0, 3))
