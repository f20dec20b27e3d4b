"""What the shell tells and draws of mixtures, on components whose answer is known."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from mlmath.certificate import Certificate
from mlmath.cli import clustering, densities, found, report
from mlmath.latent import diagonal_mixture, full_mixture, spherical_mixture, tied_mixture
from mlmath.plot import clusters

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


def swept():
    """What a sweep over two sizes, or one, from three starts may give."""
    objective = np.array([[3.0, 1.0, 2.0], [7.0, 5.0, np.nan]])
    converged = np.array([[True, False, True], [False, False, False]])
    likelihood = np.array([[-3.0, -1.0, -2.0], [-7.0, -5.0, np.nan]])
    params = full_mixture.Params(*(np.arange(6.0).reshape(2, 3) for _ in range(3)))
    steps = np.array([[1, 2, 3], [4, 5, 6]])
    certificate = SimpleNamespace(objective=objective, converged=converged, steps=steps)
    bic = np.where(converged, -2 * likelihood, np.nan)
    return SimpleNamespace(
        params=params, certificate=certificate, log_likelihood=likelihood, bic=bic, aic=bic + 1
    )


def only(sweep, place):
    """The sweep of one of its sizes."""
    return jax.tree.map(lambda a: a[place : place + 1], vars(sweep) | {
        "certificate": vars(sweep.certificate)
    })  # fmt: skip


def test_the_least_objective_of_a_start_that_converged_is_fitted_with_what_was_given(monkeypatch):
    asked = []

    def fit(start, X, **given):
        asked.append(("fit", start, given))
        return full_mixture.Fit(start, certificate=Certificate(1.0, 0.0, 10, True))

    def sweep(family, key, X, **given):
        asked.append(("sweep", None, given))
        cut = only(swept(), place)
        return SimpleNamespace(**cut | {"certificate": SimpleNamespace(**cut["certificate"])})

    module = SimpleNamespace(FAMILY=None, Params=full_mixture.Params, fit=fit)
    monkeypatch.setattr(densities, "family", lambda covariance: module)
    monkeypatch.setattr(densities.mixture_sweep, "sweep", sweep)
    weight = np.ones(4)
    for place, best, steps in ((0, 2, 13), (1, 1, 15)):  # none of the second size converged
        asked.clear()
        part = densities.MIXTURE.bind({"k": 2, "seed": 1, "seeds": 3, "prior_rows": 4.0})
        fitted = part.fit(np.zeros((4, 1)), None, sample_weight=weight)
        assert [name for name, _, _ in asked] == ["sweep", "fit"]
        assert all(given["sample_weight"] is weight for _, _, given in asked)
        assert all(given["prior_rows"] == 4 for _, _, given in asked)
        assert (asked[0][2]["sizes"], asked[0][2]["seeds"]) == ((2,), 3)
        assert asked[1][1].weights == 3 * place + best
        assert fitted.certificate.steps == steps


def test_sizes_tell_the_best_of_the_starts_that_converged_and_pass_on_what_was_given(monkeypatch):
    asked = []

    def sweep(family, key, X, **given):
        asked.append((family, given))
        return swept()

    monkeypatch.setattr(densities.mixture_sweep, "sweep", sweep)
    given = GIVEN | {"covariance": "tied", "prior_rows": 2.0}
    weight = np.arange(4.0)
    chosen, columns, *_ = densities.sizes(np.zeros((4, 1)), weight, (2, 5), "aic", given)
    assert chosen == 2
    np.testing.assert_array_equal(columns["log likelihood"], [-2, -5])
    np.testing.assert_array_equal(columns["bic"], [4, np.nan])
    np.testing.assert_array_equal(columns["aic"], [5, np.nan])
    family, passed = asked[0]
    assert family is tied_mixture.FAMILY
    assert passed == {"sizes": (2, 5), "seeds": 2, "prior_rows": 2.0, "sample_weight": weight}


def test_without_a_finite_criterion_no_size_is_chosen(monkeypatch):
    none = swept()
    none.bic = np.full((2, 3), np.nan)
    monkeypatch.setattr(densities.mixture_sweep, "sweep", lambda *given, **more: none)
    given = GIVEN | {"covariance": "full"}
    assert densities.sizes(np.zeros((4, 1)), np.ones(4), (2, 5), "bic", given)[0] == 0


def test_matrices_are_the_covariances_of_every_family():
    w, m = np.ones(2) / 2, np.zeros((2, 2))
    C = np.array([[[2.0, 1.0], [1.0, 3.0]], [[1.0, 0.0], [0.0, 4.0]]])
    for params, right in (
        (full_mixture.Params(w, m, C), C),
        (tied_mixture.Params(w, m, C[0]), np.stack([C[0]] * 2)),
        (diagonal_mixture.Params(w, m, np.array([[4.0, 9], [1, 2]])),
         np.stack([np.diag([4.0, 9]), np.diag([1.0, 2])])),
        (spherical_mixture.Params(w, m, np.array([4.0, 9])),
         np.stack([4 * np.eye(2), 9 * np.eye(2)])),
    ):  # fmt: skip
        np.testing.assert_array_equal(densities.matrices(params), right)


def made(weight):
    """Two components in standard units, of a table with other units."""
    C = np.array([[[2.0, 1.0], [1.0, 3.0]], [[1.0, 0.0], [0.0, 4.0]]])
    params = full_mixture.Params(np.array([0.25, 0.75]), np.array([[0.0, 1], [2, 3]]), C)
    rows = np.array([[1.0, 5], [2, 7], [4, 4]])
    applied = np.array([[0.9, 0.1, -1.0], [0.2, 0.8, -2.0], [0.3, 0.7, -4.0]])
    return found.Found(
        SimpleNamespace(params=params), applied, rows, ["a", "b"], weight, ["p", "q", "q"],
        np.array([10.0, 20]), np.array([2.0, 3]), False,
    )  # fmt: skip


def test_facts_count_weights_and_name_the_unit():
    facts = densities.MIXTURE.facts(made(np.array([1.0, 2, 1])))
    assert facts["log density"] == f"{-9 / 4:.4f} on the mean of the rows, in standard units"
    assert facts["weights"] == "0.250, 0.750"
    assert facts["agreement"].startswith("adjusted Rand index 1.000")
    assert facts["component 2"] == "3 rows, mean a 2.667, b 6"
    raw = made(np.ones(3))._replace(center=np.zeros(2), scale=np.ones(2))
    assert densities.MIXTURE.facts(raw)["log density"] == f"{-7 / 3:.4f} on the mean of the rows"


def test_figures_are_in_the_units_of_the_file(monkeypatch):
    drawn = {}
    monkeypatch.setattr(clusters, "partition", lambda *places, **given: drawn.update(given))
    monkeypatch.setattr(report, "png", lambda figure: b"")
    given = made(np.array([1.0, 2, 0]))
    densities.MIXTURE.figures(given)
    scale = np.diag(given.scale)
    right = given.center + given.fitted.params.means @ scale
    np.testing.assert_allclose(drawn["means"], right)
    np.testing.assert_allclose(
        drawn["covariances"], scale @ given.fitted.params.covariances @ scale
    )
    np.testing.assert_array_equal(drawn["sample_weight"], given.weight)
    assert drawn["clusters"] == ["component 1", "component 2"]


def test_as_many_components_as_rows_are_the_most():
    assert densities.MIXTURE.most(7, 2) == clustering.KMEANS.most(7, 2) == 7
