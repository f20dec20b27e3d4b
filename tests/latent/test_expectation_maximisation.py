"""The algorithm is examined for each kind of covariance in ``test_gaussian_mixture``."""

import jax
import numpy as np

from mlmath.latent import expectation_maximisation, full_mixture


def test_maximise_is_the_fit_of_its_modules():
    X = np.random.default_rng(0).normal(size=(30, 2))
    start = full_mixture.init(jax.random.key(0), X, k=2)
    fitted = full_mixture.fit(start, X, prior_rows=2.0, prior_scale=0.3, max_steps=4)
    found, certificate = jax.jit(
        lambda start, X: expectation_maximisation.maximise(
            full_mixture.FAMILY, start, X, 2.0, 0.3, max_steps=4
        )
    )(start, X)
    np.testing.assert_allclose(found.means, fitted.params.means, rtol=1e-6)
    np.testing.assert_allclose(certificate.objective, fitted.certificate.objective, rtol=1e-10)
