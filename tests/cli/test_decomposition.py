"""What the shell tells and draws of principal components, on data whose answer is known."""

import numpy as np

from mlmath.cli import decomposition, found, pictures, report
from mlmath.latent import pca
from mlmath.plot import components


def fitted(X, k=2, **changes):
    model = pca.fit(X, k=k)
    applied = (X - np.asarray(model.params.mean)) @ np.asarray(model.params.components).T
    names = [f"c{j}" for j in range(X.shape[1])]
    ones = np.ones(X.shape[1])
    given = found.Found(model, applied, X, names, np.ones(len(X)), None, 0 * ones, ones, False)
    return given._replace(**changes)


def sample(d=3):
    return np.random.default_rng(0).normal(size=(20, d)) * np.geomspace(3, 1, d)


PIXELS = [f"pixel_{r}_{c}" for r in range(3) for c in range(4)]


def test_scores_are_columns_and_loadings_name_the_largest_entries():
    given = fitted(sample())
    assert list(decomposition.PCA.columns(given.applied)) == ["component 1", "component 2"]
    facts = decomposition.PCA.facts(given)
    share = np.asarray(given.fitted.explained)
    assert facts["explained"] == f"{share.sum():.1%} of the variance by 2 components"
    assert facts["component 1"].startswith(f"{share[0]:.1%}: ")
    assert facts["component 1"].split()[2] == "c0"
    for d in (4, 5):
        many = fitted(sample(d))
        v = np.asarray(many.fitted.params.components[1])
        told = decomposition.PCA.facts(many)["component 2"].split(": ")[1].split()
        order = np.argsort(-np.abs(v))[:4]
        assert told[1:8:2] == [f"c{i}" for i in order]
        assert told[:8:2] == [f"{v[i]:+.2f}" for i in order]
        assert told[8:] == ["…"][: d - 4]


def test_figures_are_given_the_whole_variance_weights_and_groups(monkeypatch):
    drawn = {}
    monkeypatch.setattr(components, "scree", lambda v, **given: drawn.update(given))
    monkeypatch.setattr(components, "biplot", lambda *places, **given: drawn.update(given))
    monkeypatch.setattr(report, "png", lambda figure: b"")
    X, weight = sample(), np.arange(20.0)
    given = fitted(X, weight=weight, groups=["p", "q"] * 10)
    decomposition.PCA.figures(given)
    np.testing.assert_allclose(drawn["total"], X.var(axis=0).sum(), rtol=1e-9)
    np.testing.assert_array_equal(drawn["explained"], given.fitted.explained[:2])
    np.testing.assert_array_equal(drawn["sample_weight"], weight)
    np.testing.assert_array_equal(drawn["label"], [0, 1] * 10)
    assert drawn["labels"] == ["p", "q"]


def test_images_are_drawn_where_the_columns_are_pixels():
    given = fitted(sample(12), k=6, names=PIXELS)
    assert len(decomposition.PCA.figures(given)) == 3
    assert len(decomposition.PCA.figures(given._replace(texts=True))) == 2
    assert len(decomposition.PCA.figures(fitted(sample(), k=1))) == 1


def test_a_reconstruction_is_in_the_units_of_the_file():
    X = sample(12)
    center, scale = X.mean(0), X.std(0)
    given = fitted((X - center) / scale, k=12, names=PIXELS, rows=X, center=center, scale=scale)
    images, back = decomposition._images(given, pictures.pixels(PIXELS))
    np.testing.assert_allclose(images.reshape(20, 12), X)
    assert sorted(back) == [1, 5, 12]
    np.testing.assert_allclose(back[12], images, atol=1e-10)
    raw = fitted(X + 5, k=12, names=PIXELS)
    images, back = decomposition._images(raw, pictures.pixels(PIXELS))
    np.testing.assert_allclose(back[12], images, atol=1e-10)


def test_as_many_components_as_columns_or_rows_are_the_most():
    assert decomposition.PCA.most(150, 4) == 4
    assert decomposition.PCA.most(3, 4) == 3
