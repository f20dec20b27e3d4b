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


RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 2)) + 6 * (np.arange(150) % 3)[:, None] * [1.0, -0.5]
S = RNG.uniform(0.5, 2, size=150)


def run(tolerance=1e-9, max_steps=1000):
    """One program."""
    return mixture_sweep.sweep(
        full_mixture.FAMILY, jax.random.key(0), X, sizes=(1, 2, 3, 4), seeds=3, prior_rows=1.0,
        sample_weight=S, tolerance=tolerance, max_steps=max_steps,
    )  # fmt: skip


@pytest.fixture(scope="module")
def found():
    return run()


def test_bic_finds_the_number_of_groups(found):
    sweep = found
    size, start = mixture_sweep.best(sweep.bic)
    assert sweep.sizes[size] == 3
    assert sweep.bic[size, start] == np.nanmin(sweep.bic)


def alone(sweep, place, start):
    """Mixture of a lane without the components that are absent."""
    k = int(sweep.sizes[place])
    params = full_mixture.Params(*(a[place, start] for a in sweep.params))
    np.testing.assert_array_equal(params.weights[k:], 0)
    return full_mixture.Params(*(a[:k] for a in params))


def test_each_lane_is_the_fit_of_its_size_alone(found):
    for i in (0, 2):
        params = alone(found, i, 1)
        again = full_mixture.fit(params, X, prior_rows=1.0, sample_weight=S, tolerance=1e-9)
        assert again.certificate.steps <= 1
        likelihood = -full_mixture.objective(params, X, sample_weight=S)
        np.testing.assert_allclose(found.log_likelihood[i, 1], likelihood, rtol=1e-9)


def test_a_lane_that_runs_out_of_steps_has_the_likelihood_it_came_to_and_no_criterion(found):
    first = run(max_steps=0)
    assert not first.certificate.converged.any()
    assert np.isnan(first.aic).all()
    assert np.isnan(first.bic).all()
    key = jax.random.split(jax.random.key(0), 3)[1]
    start = full_mixture.init(key, X, k=4, sample_weight=S)
    params = alone(first, 3, 1)
    np.testing.assert_allclose(params.means, start.means, rtol=1e-9)
    np.testing.assert_allclose(
        first.log_likelihood[3, 1], -full_mixture.objective(params, X, sample_weight=S), rtol=1e-9
    )
    assert (first.log_likelihood <= found.log_likelihood + 1e-6).all()
    assert run(tolerance=1.0).certificate.steps.max() == 0


def of_four(prior_rows):
    """One and two balls; the second shrinks onto the row that is alone."""
    rows = np.array([[0.0], [1.0], [2.0], [50.0]])
    return rows, mixture_sweep.sweep(
        spherical_mixture.FAMILY, jax.random.key(0), rows, sizes=(1, 2), seeds=1,
        prior_rows=prior_rows, prior_scale=0.3,
    )  # fmt: skip


def test_a_collapse_has_no_likelihood():
    rows, two = of_four(0.0)
    params = spherical_mixture.Params(*(a[1, 0] for a in two.params))
    assert np.isfinite(spherical_mixture.objective(params, rows))
    np.testing.assert_array_equal(np.isnan(two.log_likelihood), [[False], [True]])
    np.testing.assert_array_equal(np.isnan(two.bic), [[False], [True]])


def test_the_prior_is_that_of_the_fit():
    rows, two = of_four(4.0)
    np.testing.assert_allclose(two.params.covariances[0, 0, 0], rows.var() * (4 + 4 * 0.3) / 8)


def test_criteria_are_their_definitions(found):
    """Eq. (1) and (2)."""
    k = np.array([1, 2, 3, 4])
    p = k - 1 + 2 * k + 3 * k
    np.testing.assert_array_equal(found.freedom, p)
    deviance = np.where(found.certificate.converged, -2 * np.asarray(found.log_likelihood), np.nan)
    assert np.isfinite(deviance).any()
    np.testing.assert_allclose(found.aic, deviance + 2 * p[:, None], rtol=1e-12)
    np.testing.assert_allclose(found.bic, deviance + math.log(S.sum()) * p[:, None], rtol=1e-12)


@pytest.mark.parametrize("kind", FAMILIES)
def test_free_numbers_are_scikit_learns(kind):
    rows = np.random.default_rng(0).normal(size=(40, 3))
    theirs = GaussianMixture(2, covariance_type=kind, max_iter=1, random_state=0)
    with pytest.warns(UserWarning, match="converge"):
        theirs.fit(rows)
    shapes = jax.eval_shape(
        lambda: mixture_sweep.sweep(
            FAMILIES[kind].FAMILY, jax.random.key(0), rows, sizes=(2,), seeds=1
        )
    )
    assert shapes.freedom.shape == (1,)
    freedom = mixture_sweep.freedom(FAMILIES[kind].FAMILY, 2, 3)
    assert freedom == theirs._n_parameters()


def test_what_has_no_likelihood_is_chosen_last():
    size, start = mixture_sweep.best(np.array([[np.nan, 3.0, np.nan], [np.nan, np.nan, 2.0]]))
    assert (size, start) == (1, 2)


@pytest.mark.parametrize(
    ("sizes", "seeds", "said"),
    [((), 2, "a size and a start"), ((1, 2), 0, "a size and a start"),
     ((0, 1), 2, "sizes must be at least 1, got 0"), ((1, 99), 2, "5 rows of X, got 99")],
)  # fmt: skip
def test_sizes_that_cannot_be_are_refused(sizes, seeds, said):
    family, key, rows = full_mixture.FAMILY, jax.random.key(0), np.zeros((5, 1))
    with pytest.raises(ValueError, match=said):
        mixture_sweep.sweep(family, key, rows, sizes=sizes, seeds=seeds)
