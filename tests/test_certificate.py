"""Certificates: eq. (1) and its edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.certificate import certify, first_order_tolerance, superlinear_tolerance


def certified(excess, null, tolerance=1e-3):
    numbers = (jnp.asarray(v) for v in (5.0, excess, null))
    return certify(*numbers, tolerance=tolerance)


@pytest.mark.parametrize(
    ("excess", "null", "gap", "converged"),
    [
        (0.5, 1000.0, 0.0005, True),
        (2.0, 1000.0, 0.002, False),
        (0.0, 0.0, 0.0, True),  # 0/0 = 0
        (1.0, 0.0, np.inf, False),
        (-0.1, 1.0, np.nan, False),  # not convex: nothing is proved
        (np.inf, np.inf, np.nan, False),
        (0.0, np.inf, np.nan, False),
        (np.nan, 1.0, np.nan, False),
        (1.0, np.nan, np.nan, False),
    ],
)
def test_gap_is_excess_over_null(excess, null, gap, converged):
    certificate = certified(excess, null)
    np.testing.assert_equal(np.asarray(certificate.gap), gap)
    assert bool(certificate.converged) is converged


def test_only_the_objective_has_a_derivative():
    def of(field):
        return lambda v: getattr(certify(v**2, v, 1 + v, tolerance=v), field)

    assert jax.grad(of("objective"))(3.0) == 6
    assert jax.grad(of("gap"))(3.0) == 0


def test_tolerances_follow_the_dtype():
    for dtype in (np.float32, np.float64):
        epsilon = np.finfo(dtype).eps
        assert superlinear_tolerance(np.zeros(2, dtype)) == 4 * epsilon
        assert first_order_tolerance(np.zeros(2, dtype)) == pytest.approx(float(epsilon) ** (2 / 3))
