"""Multiplicative updates: eq. (1)–(3), and that zeros stay."""

import numpy as np

from mlmath.latent import multiplicative_updates

RNG = np.random.default_rng(0)
W, X, S = RNG.random((30, 3)), RNG.random((30, 5)), RNG.uniform(0.5, 2, 30)
A, B = (S[:, None] * W).T @ W, (S[:, None] * W).T @ X


def value(H):
    return np.trace(H.T @ A @ H) / 2 - np.trace(B.T @ H)  # (1)


def test_the_update_is_equation_2_entry_by_entry():
    H = RNG.random((3, 5))
    found, _ = multiplicative_updates.multiply(A, B, H)
    for j in range(3):
        for a in range(5):
            right = H[j, a] * B[j, a] / sum(A[j, i] * H[i, a] for i in range(3))
            np.testing.assert_allclose(found[j, a], right, rtol=1e-12)


def test_the_value_falls_by_at_least_equation_3():
    for _ in range(20):
        H = RNG.random((3, 5)) ** 4 * 10
        new, gain = (np.asarray(a) for a in multiplicative_updates.multiply(A, B, H))
        right = np.sum((A @ H) / H * (new - H) ** 2) / 2
        np.testing.assert_allclose(gain, right, rtol=1e-12)
        assert value(H) - value(new) >= right * (1 - 1e-12)
        assert right > 0


def test_zeros_stay_and_so_does_what_has_no_influence():
    H = RNG.random((3, 5))
    H[1, 2] = 0
    unused = A.copy()
    unused[0], unused[:, 0] = 0, 0
    new, gain = (np.asarray(a) for a in multiplicative_updates.multiply(unused, B, H))
    assert new[1, 2] == 0
    np.testing.assert_array_equal(new[0], H[0])
    assert np.isfinite(gain)


def test_without_slope_nothing_moves():
    H = RNG.random((3, 5))
    new, gain = multiplicative_updates.multiply(A, A @ H, H)
    np.testing.assert_allclose(new, H, rtol=1e-12)
    assert gain < 1e-20
