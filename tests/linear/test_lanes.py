"""Many fits under ``vmap``: what lanes share is not copied to them, and large ones come to an end.

On a CPU, a loop over blocks of rows beside another branch once waited for itself for ever: such
programs run in a process of their own.
"""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.linear import logistic_regression, ridge, softmax_regression

PROGRAM = """
import functools, jax, numpy as np
from mlmath.linear import least_squares, softmax_regression
rng = np.random.default_rng(0)
n, d = 21000, 100
X = rng.normal(size=(n, d)).astype(np.float32)
z = X @ rng.normal(size=d).astype(np.float32)
W = rng.random((2, n)).astype(np.float32)
fit, y = {
    "least_squares": (least_squares.fit, z),
    "softmax_regression": (
        functools.partial(softmax_regression.fit, classes=2, max_steps=4), (z > 0).astype(int)),
}[METHOD]
many = jax.jit(lambda X, y, W: jax.vmap(lambda s: fit(X, y, sample_weight=s).params)(W))
found, alone = many(X, y, W), fit(X, y, sample_weight=W[1]).params
np.testing.assert_allclose(found.weights[1], alone.weights, atol=2e-3 * abs(alone.weights).max())
"""


@pytest.mark.parametrize("method", ["least_squares", "softmax_regression"])
def test_many_large_fits_in_one_program_come_to_their_end(method):
    program = PROGRAM.replace("METHOD", repr(method))
    subprocess.run([sys.executable, "-c", program], check=True, timeout=240)


@pytest.mark.parametrize("method", [logistic_regression, ridge, softmax_regression])
def test_lanes_of_a_sweep_share_the_rows(method):
    """A ``lax.cond`` on what a lane has reached would copy all that its branches use."""
    rng = np.random.default_rng(0)
    X, y = jnp.asarray(rng.normal(size=(31, 3))), jnp.asarray(rng.integers(0, 2, 31) * 1.0)
    program = str(jax.make_jaxpr(jax.vmap(lambda l2: method.fit(X, y, l2=l2)))(jnp.ones(5)))
    assert "f64[31,3]" in program
    assert "f64[5,31,3]" not in program
