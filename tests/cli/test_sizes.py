"""``mlmath sweep kmeans DATA --over k=2:12``: sizes in one call, the chosen one saved."""

import json

import numpy as np
import polars as pl
import pytest

from mlmath.cli import sizes
from mlmath.cli.refusal import Refusal


def sweep(shell, *words):
    code, shown, complaint = shell("sweep", *words, "--seeds", "3", "--out", "run", "--json")
    assert code == 0, complaint
    return json.loads(shown)


def test_the_saved_run_is_the_size_that_was_chosen(shell):
    found = sweep(shell, "kmeans", "iris", "--over", "k=2:4", "--by", "gap")
    swept = found["sweep"]
    assert (swept["by"], swept["over"], swept["fits"]) == ("gap", {"k": [2, 3, 4]}, 9)
    assert found["hyperparameters"]["k"] == swept["chosen"] == 3
    place = swept["over"]["k"].index(3)
    np.testing.assert_allclose(
        found["certificate"]["objective"], swept["inertia"][place], rtol=1e-6
    )
    predicted = pl.read_csv(shell("predict", "run", "iris")[1].encode())
    assert set(predicted["cluster"]) == {1, 2, 3}
    table = pl.read_csv("run/sizes.csv")
    assert table.columns == ["k", *[name for name in swept if name in table.columns]]
    np.testing.assert_allclose(table["inertia"], swept["inertia"])
    with open("run/report.html") as file:
        page = file.read()
    assert "What chose the number of clusters" in page
    assert "Silhouettes" in page


def test_mixtures_are_chosen_by_an_information_criterion(shell):
    found = sweep(
        shell, "gaussian_mixture", "old_faithful", "--over", "k=1,2,3", "--covariance", "tied"
    )
    assert found["sweep"]["chosen"] == found["sweep"]["over"]["k"][
        int(np.argmin(found["sweep"]["bic"]))
    ]  # fmt: skip
    assert found["hyperparameters"]["covariance"] == "tied"
    predicted = pl.read_csv(shell("predict", "run", "old_faithful")[1].encode())
    assert predicted.width == found["sweep"]["chosen"] + 2


def test_a_table_lists_every_size_and_marks_the_chosen(shell):
    words = ["sweep", "kmeans", "iris", "--over", "k=2,3", "--seeds", "2", "--out", "run"]
    lines = [line.split() for line in shell(*words)[1].splitlines()]
    assert [line[0] for line in lines if line and line[-1] == "chosen"] == ["2"]
    assert any(line[:1] == ["edge"] for line in lines)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "swept over the number k"),
        (["k=2", "k=3"], "swept over the number k"),
        (["l=2:3"], "swept over k, not 'l=2:3'"),
        (["k"], "swept over k, not 'k'"),
        (["k=a"], "cannot read --over k=a"),
        (["k=5:2"], "cannot read --over k=5:2"),
        (["k=2:9:3"], "cannot read --over k=2:9:3"),
        (["k=0:3"], "must be 1 or more"),
        (["k=1:999"], "makes more than 200 sizes"),
    ],
)
def test_what_names_no_sizes_is_refused(texts, said):
    with pytest.raises(Refusal, match=said):
        sizes.read(texts, "kmeans")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--over", "k=2:151"], "--over names 151 clusters, but 150 rows count"),
        (["--over", "k=2:4", "--k", "3"], "leave --k out"),
        (["--over", "k=2,4", "--by", "elbow"], "three sizes at least"),
        (["--over", "k=2:4", "--seeds", "0"], "--seeds must be a whole number from 1"),
        (["--over", "k=2:4", "--seed", "-1"], "--seed must be from 0"),
        (["--over", "k=2:4", "--by", "eye"], "--by must be one of silhouette, gap, elbow"),
        (["--over", "k=2:4", "--folds", "3"], "there is no option '--folds'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(shell, words, said):
    code, shown, complaint = shell("sweep", "kmeans", "iris", *words)
    assert (code, shown) == (2, "")
    assert said in complaint
    assert complaint.count("\n") == 1
