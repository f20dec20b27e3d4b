from importlib.resources import files

import numpy as np
import polars as pl
import pytest
from sklearn import datasets as peer

from mlmath.data import datasets


@pytest.mark.parametrize("name", sorted(datasets.CATALOGUE))
def test_each_set_has_a_target_a_source_and_a_licence(name):
    entry, table, note = datasets.CATALOGUE[name], datasets.load(name), datasets.note(name)
    assert {entry.target, *entry.ignored} <= set(table.columns)
    assert table.height > 100
    assert "Source:" in note
    assert "Licence:" in note


def test_the_nine_sets_are_there_and_small():
    assert sorted(datasets.CATALOGUE) == [
        "breast_cancer", "diabetes", "digits", "iris", "mauna_loa_co2", "old_faithful", "penguins",
        "titanic", "wine",
    ]  # fmt: skip
    folder = files("mlmath.data") / "embedded"
    assert sum(len(file.read_bytes()) for file in folder.iterdir()) < 500_000


@pytest.mark.parametrize("name", ["iris", "wine", "digits", "breast_cancer"])
def test_classes_and_features_are_those_of_scikit_learn(name):
    X, y = datasets.arrays(name)
    theirs = getattr(peer, f"load_{name}")()
    np.testing.assert_allclose(X, theirs.data, rtol=1e-6)
    same = (y == theirs.target).mean()
    assert same == (0.0 if name == "breast_cancer" else 1.0)  # theirs counts malignant as 0


def test_diabetes_is_that_of_scikit_learn_unscaled():
    X, y = datasets.arrays("diabetes")
    theirs = peer.load_diabetes(scaled=False)
    np.testing.assert_allclose(y, theirs.target)
    np.testing.assert_allclose(X, theirs.data, rtol=1e-4)


def test_the_others_are_those_of_the_shared_folder(shared):
    folder = shared / "datasets"
    read = {"infer_schema_length": None, "null_values": "NA"}
    faithful = pl.read_csv(folder / "old_faithful" / "datasets__faithful.csv").drop("rownames")
    assert datasets.load("old_faithful").equals(faithful)
    penguins = pl.read_csv(folder / "palmer_penguins" / "penguins.csv", **read)
    assert datasets.load("penguins").equals(penguins)
    titanic = pl.read_csv(folder / "titanic" / "titanic.csv", **read)
    ours = datasets.load("titanic")
    assert ours.equals(titanic.select(ours.columns))
    weeks = pl.read_csv(folder / "co2_mauna_loa" / "co2.csv").drop_nulls()
    ours = datasets.load("mauna_loa_co2")
    assert ours["co2"].equals(weeks["co2"])
    assert (ours["year"].cast(int) == weeks["date"] // 10_000).all()
    assert ours["year"].is_sorted()


def test_the_ignored_pixels_are_constant_and_no_other():
    table = datasets.load("digits")
    constant = tuple(c.name for c in table if c.n_unique() == 1)
    assert constant == datasets.CATALOGUE["digits"].ignored


def test_an_unknown_set_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="no data set 'irs'; there are breast_cancer"):
        datasets.load("irs")


def test_text_has_no_arrays():
    with pytest.raises(ValueError, match="column 'island' of penguins holds text"):
        datasets.arrays("penguins")
