"""The algorithm is examined for each kind of covariance in ``test_gaussian_mixture``."""

import jax
import numpy as np
import pytest

from mlmath.latent import (
    diagonal_mixture,
    expectation_maximisation,
    full_mixture,
    gaussian_mixture,
    mixture_seeds,
    spherical_mixture,
    tied_mixture,
)


class _Asked(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize(
    "module", [full_mixture, tied_mixture, diagonal_mixture, spherical_mixture],
    ids=lambda module: module.__name__.rpartition(".")[2],
)  # fmt: skip
def test_every_kind_passes_on_what_it_is_given(module, monkeypatch):
    asked = []

    def ask(*places, **given):
        asked[:] = [*places, given]
        raise _Asked

    monkeypatch.setattr(expectation_maximisation, "maximise", ask)
    monkeypatch.setattr(gaussian_mixture, "objective", ask)
    monkeypatch.setattr(mixture_seeds, "init", ask)
    key, X, s = jax.random.key(0), np.ones((3, 2)), np.arange(3.0)
    params = module.Params(1.0, 2.0, 3.0)
    numbers, stopping = {"prior_rows": 5.0, "prior_scale": 6.0}, {"tolerance": 7.0, "max_steps": 8}
    with jax.disable_jit():
        with pytest.raises(_Asked):
            module.fit(params, X, sample_weight=s, **numbers, **stopping)
        family, *places, given = asked
        assert family is module.FAMILY
        assert places == [params, X, 5.0, 6.0]
        assert given == stopping | {"sample_weight": s}
        with pytest.raises(_Asked):
            module.objective(params, X, sample_weight=s, **numbers)
        assert asked == [module.FAMILY, params, X, 5.0, 6.0, {"sample_weight": s}]
        with pytest.raises(_Asked):
            module.init(key, X, k=3, sample_weight=s)
        assert asked[0] is module.FAMILY
        assert asked[1:] == [key, X, {"k": 3, "sample_weight": s}]


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


@pytest.mark.parametrize("dtype", [np.float32, float])
def test_a_step_of_rounding_alone_gains_nothing(dtype):
    """One Gaussian has its answer after one step, and then a gap of 0, whatever the rows."""
    for seed in range(12):
        X = np.random.default_rng(seed).normal(size=(57, 3)).astype(dtype)
        start = full_mixture.init(jax.random.key(0), X, k=1)
        certificate = full_mixture.fit(start, X, tolerance=0.0, max_steps=20).certificate
        assert certificate.gap == 0, seed
        assert certificate.converged
        assert certificate.steps <= 2
