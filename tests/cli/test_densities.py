"""What the shell tells and draws of mixtures, on components whose answer is known."""

import jax
import numpy as np
import pytest

from mlmath.cli import densities, found

GIVEN = {"seed": 0, "seeds": 2}


def clouds(d=2, n=60):
    rng = np.random.default_rng(0)
    return 8 * np.repeat(np.eye(2, d), n // 2, axis=0) + rng.normal(size=(n, d))


def fitted(covariance="full", d=2, k=2):
    X = clouds(d)
    part = densities.MIXTURE.bind({"k": k, "covariance": covariance, **GIVEN})
    model = part.fit(X, np.zeros(len(X)))
    applied = np.asarray(jax.vmap(part.predict, (None, 0))(model.params, X))
    names = [f"c{j}" for j in range(d)]
    return found.Found(
        model, applied, X, names, np.ones(len(X)), None, np.zeros(d), np.ones(d), False
    )


@pytest.mark.parametrize("covariance", ["full", "tied", "diagonal", "spherical"])
def test_every_family_is_fitted_and_drawn(covariance):
    given = fitted(covariance)
    assert given.fitted.certificate.converged
    matrices = densities.matrices(given.fitted.params)
    assert matrices.shape == (2, 2, 2)
    np.testing.assert_allclose(matrices, np.swapaxes(matrices, 1, 2))
    if covariance == "tied":
        np.testing.assert_array_equal(matrices[0], matrices[1])
    if covariance in ("diagonal", "spherical"):
        np.testing.assert_array_equal(matrices[:, 0, 1], 0)
    if covariance == "spherical":
        np.testing.assert_array_equal(matrices[:, 0, 0], matrices[:, 1, 1])
    assert len(densities.MIXTURE.figures(given)) == 1


def test_predict_writes_component_probabilities_and_density():
    given = fitted()
    written = densities.MIXTURE.columns(given.applied)
    assert list(written) == [
        "component", "probability of component 1", "probability of component 2", "log density",
    ]  # fmt: skip
    p = np.stack([written[f"probability of component {j}"] for j in (1, 2)], axis=1)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (written["component"] == p.argmax(axis=1) + 1).all()
    total = written["log density"].sum()
    np.testing.assert_allclose(total, -given.fitted.certificate.objective, rtol=1e-9)


def test_facts_hold_weights_and_the_mean_density():
    given = fitted()
    facts = densities.MIXTURE.facts(given)
    mean = given.applied[:, -1].mean()
    assert facts["log density"].startswith(f"{mean:.4f}")
    assert sum(map(float, facts["weights"].split(", "))) == pytest.approx(1, abs=2e-3)
    assert len(densities.MIXTURE.figures(fitted(d=1))) == 0


@pytest.mark.parametrize("by", ["bic", "aic"])
def test_the_smallest_criterion_chooses(by):
    given = GIVEN | {"covariance": "spherical"}
    chosen, columns, _, curves, _ = densities.sizes(clouds(), np.ones(60), (1, 2, 3), by, given)
    assert chosen == (1, 2, 3)[int(np.argmin(columns[by]))]
    assert chosen == 2 or by == "aic"
    assert curves == ("bic", "aic")
    likelihood = columns["log likelihood"]
    free = np.array([k - 1 + 2 * k + k for k in (1, 2, 3)])
    np.testing.assert_allclose(columns["bic"], free * np.log(60) - 2 * likelihood)
    np.testing.assert_allclose(columns["aic"], 2 * free - 2 * likelihood)
