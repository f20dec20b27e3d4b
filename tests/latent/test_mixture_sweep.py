import math

import jax
import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from mlmath.latent import (
    diagonal_mixture,
    full_mixture,
    mixture_sweep,
    spherical_mixture,
    tied_mixture,
)

FAMILIES = {
    "full": full_mixture,
    "tied": tied_mixture,
    "diag": diagonal_mixture,
    "spherical": spherical_mixture,
}


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 2)) + 6 * (np.arange(150) % 3)[:, None] * [1.0, -0.5]
    sweep = mixture_sweep.sweep(
        full_mixture.FAMILY, jax.random.key(0), X, sizes=(1, 2, 3, 4), seeds=3, prior_rows=1.0
    )
    return X, sweep


def test_bic_finds_the_number_of_groups(found):
    _, sweep = found
    size, start = mixture_sweep.best(sweep.bic)
    assert sweep.sizes[size] == 3
    assert sweep.bic[size, start] == np.nanmin(sweep.bic)


def test_each_lane_is_the_fit_of_its_size_alone(found):
    X, sweep = found
    for i, k in enumerate((1, 3)):
        i = 2 * i
        start = full_mixture.init(jax.random.split(jax.random.key(0), 3)[1], X, k=4)
        np.testing.assert_allclose(sweep.params.weights[i, 1, k:], 0)
        params = full_mixture.Params(*(a[i, 1] for a in sweep.params))
        trimmed = full_mixture.Params(*(a[:k] for a in params))
        again = full_mixture.fit(trimmed, X, prior_rows=1.0)
        assert again.certificate.steps <= 1
        likelihood = -full_mixture.objective(trimmed, X)
        np.testing.assert_allclose(sweep.log_likelihood[i, 1], likelihood, rtol=1e-9)
        assert start.means.shape == (4, 2)


def test_criteria_are_their_definitions(found):
    """Eq. (1) and (2)."""
    X, sweep = found
    k = np.array([1, 2, 3, 4])
    p = k - 1 + 2 * k + 3 * k
    np.testing.assert_array_equal(sweep.freedom, p)
    deviance = -2 * np.asarray(sweep.log_likelihood)
    np.testing.assert_allclose(sweep.aic, deviance + 2 * p[:, None], rtol=1e-12)
    np.testing.assert_allclose(sweep.bic, deviance + math.log(150) * p[:, None], rtol=1e-12)
    assert len(X) == 150


@pytest.mark.parametrize("kind", FAMILIES)
def test_free_numbers_are_scikit_learns(kind):
    X = np.random.default_rng(0).normal(size=(40, 3))
    theirs = GaussianMixture(2, covariance_type=kind, max_iter=1, random_state=0)
    with pytest.warns(UserWarning, match="converge"):
        theirs.fit(X)
    shapes = jax.eval_shape(
        lambda: mixture_sweep.sweep(
            FAMILIES[kind].FAMILY, jax.random.key(0), X, sizes=(2,), seeds=1
        )
    )
    assert shapes.freedom.shape == (1,)
    freedom = mixture_sweep.freedom(FAMILIES[kind].FAMILY, 2, 3)
    assert freedom == theirs._n_parameters()


def test_what_has_no_likelihood_is_chosen_last():
    size, start = mixture_sweep.best(np.array([[np.nan, 3.0], [2.0, np.nan]]))
    assert (size, start) == (1, 0)


@pytest.mark.parametrize("sizes", [(), (0, 1), (1, 99)])
def test_sizes_that_cannot_be_are_refused(sizes):
    with pytest.raises(ValueError, match=r"size|rows"):
        mixture_sweep.sweep(full_mixture.FAMILY, jax.random.key(0), np.zeros((5, 1)), sizes=sizes)
