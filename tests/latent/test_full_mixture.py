"""What the four kinds share is examined in ``test_gaussian_mixture``."""

import jax
import numpy as np

from mlmath.latent import full_mixture


def test_two_far_groups_are_found_with_their_own_moments():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(40, 2)) * [1.0, 2.0]
    second = np.array([60.0, 0.0]) + rng.normal(size=(20, 2))
    X = np.concatenate([first, second])
    fitted = full_mixture.fit(full_mixture.init(jax.random.key(0), X, k=2), X)
    assert fitted.certificate.converged
    order = np.argsort(fitted.params.means[:, 0])
    means = np.stack([first.mean(0), second.mean(0)])
    np.testing.assert_allclose(fitted.params.means[order], means, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(fitted.params.weights[order], [2 / 3, 1 / 3], rtol=1e-9)
    C = [np.cov(a.T, ddof=0) for a in (first, second)]
    right = np.stack(C)
    np.testing.assert_allclose(fitted.params.covariances[order], right, rtol=1e-6, atol=1e-9)
