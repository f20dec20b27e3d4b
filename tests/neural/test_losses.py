"""Losses: their definitions, and that they keep their digits."""

import numpy as np

from mlmath.neural import losses

Z = np.array([0.3, -1.2, 2.5])


def test_losses_of_numbers_are_their_definitions():
    y = np.array([0.0, 1.0, 0.2])
    r = [z - t for z, t in zip(Z, y, strict=True)]
    np.testing.assert_allclose(losses.squared(Z, y), sum(v**2 for v in r) / 2, rtol=1e-13)
    huber = sum(v**2 / 2 if abs(v) <= 1.5 else 1.5 * (abs(v) - 0.75) for v in r)
    np.testing.assert_allclose(losses.huber(Z, y, threshold=1.5), huber, rtol=1e-13)
