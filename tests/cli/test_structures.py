"""What structures write, tell and draw, on data whose answer is known."""

import inspect

import numpy as np
import pytest

from mlmath.cli import methods, structures
from mlmath.latent import pca


def found(X, k=2, **changes):
    fitted = pca.fit(X, k=k)
    applied = (X - np.asarray(fitted.params.mean)) @ np.asarray(fitted.params.components).T
    names = [f"c{j}" for j in range(X.shape[1])]
    ones = np.ones(X.shape[1])
    return structures.Found(
        fitted, applied, X, names, np.ones(len(X)), None, 0 * ones, ones, False
    )._replace(**changes)


def sample(d=3):
    return np.random.default_rng(0).normal(size=(20, d)) * np.geomspace(3, 1, d)


def test_every_method_without_a_target_is_a_structure():
    table = {name for name, m in methods.METHODS.items() if m.task == "structure"}
    assert set(structures.STRUCTURES) == table


@pytest.mark.parametrize("name", sorted(structures.STRUCTURES))
def test_the_part_takes_a_target_and_row_weights(name):
    takes = inspect.signature(structures.STRUCTURES[name].fit).parameters
    assert list(takes)[:2] == ["X", "y"]
    assert takes["sample_weight"].default is None


def test_scores_are_columns_and_loadings_name_the_largest_entries():
    structure, given = structures.STRUCTURES["pca"], found(sample())
    assert list(structure.columns(given.applied)) == ["component 1", "component 2"]
    facts = structure.facts(given)
    share = np.asarray(given.fitted.explained)
    assert facts["explained"] == f"{share.sum():.1%} of the variance by 2 components"
    first = facts["component 1"]
    assert first.startswith(f"{share[0]:.1%}: ")
    assert first.split()[2] == "c0"


def test_images_are_drawn_where_the_columns_are_pixels():
    X = sample(9)
    names = [f"pixel_{r}_{c}" for r in range(3) for c in range(3)]
    given = found(X, k=6, names=names)
    drawn = structures.STRUCTURES["pca"].figures(given)
    assert len(drawn) == 3
    assert len(structures.STRUCTURES["pca"].figures(given._replace(texts=True))) == 2
    assert len(structures.STRUCTURES["pca"].figures(found(sample(), k=1))) == 1


def test_a_reconstruction_is_in_the_units_of_the_file():
    X = sample(9)
    names = [f"pixel_{r}_{c}" for r in range(3) for c in range(3)]
    center, scale = X.mean(0), X.std(0)
    given = found((X - center) / scale, k=9, names=names, rows=X, center=center, scale=scale)
    places = structures.pictures.pixels(names)
    images, back = structures._images(given, places)
    np.testing.assert_allclose(images.reshape(20, 9), X)
    assert sorted(back) == [1, 5, 9]
    np.testing.assert_allclose(back[9], images, atol=1e-10)


def test_groups_color_if_they_are_few():
    few = found(sample(), groups=["b", "a", None, "b"] * 5)
    codes, names = structures._groups(few)
    assert names == ["a", "b", "missing"]
    assert codes[:4].tolist() == [1, 0, 2, 1]
    for groups in (None, list(range(21)), ["same"] * 20):
        assert structures._groups(few._replace(groups=groups)) == (None, None)
