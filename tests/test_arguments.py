"""Misuse raises one sentence that names argument, expectation and what came."""

import importlib
import os
import pkgutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Float, jaxtyped

import mlmath
from mlmath.arguments import ArgumentError, checked
from mlmath.calculus import implicit
from mlmath.certificate import certify
from mlmath.evaluate import folds, selection
from mlmath.kernels import nearest_neighbors
from mlmath.latent import pca
from mlmath.linalg import least_squares as columns
from mlmath.linear import logistic_regression, perceptron, ridge
from mlmath.neural import losses
from mlmath.optimize import chain, momentum, newton, stochastic
from mlmath.plot import regression
from mlmath.statistics import standardise, weights

X, Y = np.ones((5, 2)), np.arange(5.0)
PARAMS = ridge.Params(jnp.ones(2), jnp.zeros(()))

MISUSE = [
    (
        lambda: pca.fit(Y),
        "latent.pca.fit: X must be a float array of shape (n, d), got float64[5].",
    ),
    (
        lambda: nearest_neighbors.init(X, Y[:2]),
        "kernels.nearest_neighbors.init: y must be a float or integer or boolean array of shape "
        "(n,) with n = 5 (from X), got float64[2].",
    ),
    (
        lambda: folds.k_fold(3, 10),
        "evaluate.folds.k_fold: key must be a typed key, got int64[]; make one with "
        "jax.random.key.",
    ),
    (
        lambda: selection.choose(Y),
        f"evaluate.selection.choose: scores must be a float array of shape (f, c, ...), got "
        f"float64[{len(Y)}].",
    ),
    (
        lambda: ridge.fit(X, Y[:, None]),
        "linear.ridge.fit: y must be a float array of shape (n,) with n = 5 (from X), "
        "got float64[5, 1]; flatten the column with .ravel().",
    ),
    (
        lambda: ridge.fit(X, Y[:4]),
        "linear.ridge.fit: y must be a float array of shape (n,) with n = 5 (from X), "
        "got float64[4].",
    ),
    (
        lambda: ridge.fit(X.astype(int), Y),
        "linear.ridge.fit: X must be a float array of shape (n, d), got int64[5, 2]; "
        "measurements are floats: convert with .astype(float).",
    ),
    (
        lambda: ridge.fit(X, Y, l2=np.ones(3)),
        "linear.ridge.fit: l2 must be a number or a float array of shape (d,) with d = 2 "
        "(from X), got float64[3].",
    ),
    (
        lambda: ridge.predict(PARAMS, X),
        "linear.plane.predict: x must be a float array of shape (d,), got float64[5, 2]; it takes "
        "ONE example: batch it with mlmath.rows(function) or jax.vmap.",
    ),
    (
        lambda: ridge.predict(PARAMS, X[0, :1]),
        "linear.plane.predict: x must be a float array of shape (d,), got float64[1].",
    ),
    (
        lambda: logistic_regression.fit(
            X, Y, start=logistic_regression.Params(*PARAMS)._replace(weights=jnp.ones(3))
        ),
        "linear.logistic_regression.fit: start (weights float64[3], bias float64[]) does not fit "
        "the other arguments with n = 5 (from X) and d = 2 (from X).",
    ),
    (
        lambda: losses.squared(Y[:, None], Y),
        "neural.losses.squared: outputs must be a float array of shape (k,), got float64[5, 1]; "
        "flatten the column with .ravel().",
    ),
    (
        lambda: weights.present([[1.0]], Y, None),
        "statistics.weights.present: X must be a float array of shape (n, d), got list of length "
        "1 of list of length 1 of float; convert it with jnp.asarray.",
    ),
    (
        lambda: jax.jit(lambda x: ridge.fit([x, x, x], Y[:3]))(X[0]),
        "linear.ridge.fit: X must be a float array of shape (n, d), got list of length 3 of "
        "float64[2]; convert it with jnp.asarray.",
    ),
    (
        lambda: jax.grad(lambda b: ridge.fit(X, [b, 1.0, 2, b, b]).params.bias)(0.0),
        "linear.ridge.fit: y must be a float array of shape (n,) with n = 5 (from X), got list of "
        "length 5 of float64[] and int64[]; convert it with jnp.asarray.",
    ),
    (
        lambda: jax.vmap(lambda x: ridge.predict(PARAMS, (x, 1.0, None)))(Y),
        "linear.plane.predict: x must be a float array of shape (d,), got tuple of length 3 of "
        "float64[], float and NoneType; convert it with jnp.asarray.",
    ),
    (
        lambda: ridge.predict({"weights": PARAMS.weights}, X[0]),
        "linear.plane.predict: params must be linear.plane.Params, got dict of length 1.",
    ),
    (
        lambda: ridge.predict(PARAMS, object()),
        "linear.plane.predict: x must be a float array of shape (d,), got object.",
    ),
    (
        lambda: columns.solve(X, Y[:3]),
        "linalg.least_squares.solve: y must be a float array of shape (n,) with n = 5 (from A), "
        "got float64[3].",
    ),
    (
        lambda: certify(1.0, 2.0, 3.0, tolerance="small"),
        "certificate.certify: tolerance must be a number, got str 'small'.",
    ),
    (
        lambda: newton.minimize(lambda x: x @ x, jnp.ones(2), null_value=2.0, max_steps="3"),
        "optimize.newton.minimize: max_steps must be a number, got str '3'.",
    ),
    (
        lambda: implicit.attach("x", jnp.ones(2)),
        "calculus.implicit.attach: optimality must be a function, got str 'x'.",
    ),
    (
        lambda: momentum.sgd(lambda step: 0.1),
        "optimize.momentum.sgd: learning_rate must be a number or jax.tree_util.Partial, got "
        "function; bind the numbers of a function with jax.tree_util.Partial(function, …).",
    ),
    (
        lambda: chain.chain(momentum.sgd(0.1), optax.clip(1.0)),
        "optimize.chain.chain: optimizers must be optimize.chain.Optimizer, got "
        "optax._src.base.GradientTransformation; take one of optax through "
        "optimize.chain.from_optax.",
    ),
    (
        lambda: stochastic.init(jax.random.key(0), Y, optax.clip(1.0)),
        "optimize.stochastic.init: optimizer must be optimize.chain.Optimizer, got "
        "optax._src.base.GradientTransformation; take one of optax through "
        "optimize.chain.from_optax.",
    ),
    (
        lambda: losses.squared(Y, np.arange(5)),
        "neural.losses.squared: y must be a number or a float array of shape (k,) with k = 5 "
        "(from outputs), got int64[5]; measurements are floats: convert with .astype(float).",
    ),
    (
        lambda: regression.predicted_against_observed(Y, Y[:2]),
        "plot.regression.predicted_against_observed: observed must be a float array of shape (n,) "
        "with n = 5 (from predicted), got float64[2].",
    ),
]


HALF = [
    ("linear.ridge.fit: X", lambda X, y: ridge.fit(X, Y)),
    ("linear.ridge.fit: y", lambda X, y: ridge.fit(np.ones((5, 2)), y)),
    ("linear.logistic_regression.fit: X", lambda X, y: logistic_regression.fit(X, Y > 2)),
    ("linear.perceptron.fit: X", lambda X, y: perceptron.fit(X, Y > 2)),
    ("linalg.least_squares.solve: A", lambda X, y: columns.solve(X, Y)),
    ("statistics.standardise.fit: X", lambda X, y: standardise.fit(X)),
    ("statistics.weights.present: sample_weight", lambda X, y: weights.present(np.eye(5), Y, y)),
    ("plot.regression.predicted_against_observed: predicted",
     lambda X, y: regression.predicted_against_observed(y, Y)),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn"])
@pytest.mark.parametrize(("where", "misuse"), HALF, ids=[w for w, _ in HALF])
def test_half_precision_is_refused_in_one_sentence(where, misuse, dtype):
    x, y = jnp.asarray(X, dtype), jnp.asarray(Y, dtype)
    with pytest.raises(ArgumentError) as caught:
        misuse(x, y)
    told = str(caught.value)
    assert told.startswith(f"{where} must be ")
    assert f"got {dtype}[5" in told
    assert told.endswith("; half precision is too coarse: convert with .astype('float32').")
    misuse(x.astype("float32"), y.astype("float32"))


def test_half_precision_cannot_count_rows():
    ones = jnp.ones(65_520, "float16")
    assert jnp.isinf(ones.sum())
    assert jnp.isfinite(ones[1:].sum())


def test_half_precision_where_no_array_is_asked_for_is_nobodys_business():
    np.testing.assert_array_equal(
        mlmath.rows(lambda params, x: params * x)(jnp.bfloat16(2), jnp.ones(3, "bfloat16")),
        [2, 2, 2],
    )


@pytest.mark.parametrize(("misuse", "sentence"), MISUSE, ids=[s.split(":")[0] for _, s in MISUSE])
def test_misuse_is_one_sentence(misuse, sentence):
    with pytest.raises(ArgumentError) as caught:
        misuse()
    assert str(caught.value) == sentence
    assert isinstance(caught.value, TypeError)


def test_misuse_is_refused_in_every_package_of_the_house():
    refused = {sentence.split(".")[0] for _, sentence in MISUSE}
    packages = {m.name for m in pkgutil.iter_modules(mlmath.__path__) if m.ispkg}
    assert packages - refused <= {"cli", "data", "scale"}  # take files, tables and any trees


_SILENT = ("mlmath.cli", "mlmath.arguments", "mlmath.nearest", "mlmath.rooms")  # pass no arrays


def test_every_function_of_every_package_is_checked():
    for info in pkgutil.walk_packages(mlmath.__path__, "mlmath."):
        if not info.ispkg and not info.name.startswith(_SILENT):
            module = importlib.import_module(info.name)
            assert type(module.__spec__.loader).__name__ == "_JaxtypingLoader", info.name


def test_a_result_of_the_wrong_shape_is_not_passed_on():
    @jaxtyped(typechecker=checked)
    def half(x: Float[jax.Array, " n"]) -> Float[jax.Array, " n"]:
        return x[::2]

    with pytest.raises(
        ArgumentError, match=r"the result is not a float array of shape \(n,\) with"
    ):
        half(jnp.ones(4))


def test_checks_can_be_turned_off():
    code = "from mlmath.arrays import rows; print(rows(1))"
    outcomes = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"JAXTYPING_DISABLE": disabled},
            capture_output=True,
            text=True,
        ).stderr
        for disabled in ("0", "1")
    ]
    assert "function must be a function, got int 1" in outcomes[0]
    assert outcomes[1] == ""
