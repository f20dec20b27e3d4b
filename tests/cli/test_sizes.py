"""``mlmath sweep kmeans DATA --over k=2:12``: sizes in one call, the chosen one saved."""

import json
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from mlmath.cli import clustering, densities, report, sizes, structure
from mlmath.cli.refusal import Refusal
from mlmath.plot import clusters


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
        shell, "gaussian_mixture", "old_faithful", "--over", "k=1,2,3", "--covariance", "tied",
        "--seed", "3",
    )  # fmt: skip
    assert found["seed"] == found["hyperparameters"]["seed"] == 3
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
        (["k=1:201"], "makes more than 200 sizes"),
    ],
)
def test_what_names_no_sizes_is_refused(texts, said):
    with pytest.raises(Refusal, match=said):
        sizes.read(texts, "kmeans")


def test_two_hundred_sizes_are_the_most():
    assert sizes.read(["k=1:200"], "kmeans") == list(range(1, 201))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--over", "k=2:151"], "--over names 151 clusters, but 150 rows count"),
        (["--over", "k=2:4", "--k", "3"], "leave --k out"),
        (["--over", "k=2:4", "--k=3"], "leave --k out"),
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


OPTIONS = SimpleNamespace(by="gap", seeds=3)
JUDGED = sizes.Judged(
    3, {"inertia": np.array([5.0, np.nan, 1.0]), "gap": np.array([1.0, 2.0, np.inf])},
    "gap statistic", ("gap",), np.array([0.1, 0.2, 0.3]),
)  # fmt: skip


def test_the_first_criterion_of_each_method_chooses_if_none_is_named():
    for name, first in (("kmeans", "silhouette"), ("gaussian_mixture", "bic")):
        by = {option.name: option.default for option in sizes._options(name)}["by"]
        assert by == first


@pytest.mark.parametrize("name", ["kmeans", "gaussian_mixture"])
def test_as_many_clusters_as_rows_that_count_are_the_most(monkeypatch, name):
    weight = np.array([1.0, 2, 0, 1])
    judged, seen = list(JUDGED), []

    def judge(*given):
        seen.append(given)
        return judged

    monkeypatch.setattr(structure, "rows", lambda *given: SimpleNamespace(X=0, weight=weight))
    monkeypatch.setattr(clustering, "sizes", judge)
    monkeypatch.setattr(densities, "sizes", judge)
    options, given = OPTIONS, {"seeds": 3}
    found = sizes._judged(name, None, options, given, [2, 3], "float32")
    assert found.chosen == 3
    assert seen == [(0, weight, (2, 3), "gap", given)]
    with pytest.raises(Refusal, match="names 4 clusters, but 3 rows count"):
        sizes._judged(name, None, options, given, [2, 4], "float32")
    judged[0] = 0
    with pytest.raises(Refusal, match="no size has a finite gap") as refused:
        sizes._judged(name, None, options, given, [2, 3], "float32")
    assert ("--prior-rows 1" in str(refused.value)) == (name == "gaussian_mixture")


def test_records_and_tables_hold_no_nan_and_facts_name_the_edge():
    record = sizes._record(JUDGED, [2, 3, 4], OPTIONS, 0.5)
    assert record["inertia"] == [5, None, 1]
    assert record["gap"] == [1, 2, None]
    assert (record["fits"], record["chosen"], record["by"]) == (9, 3, "gap")
    assert sizes._csv(JUDGED, [2, 3, 4]).decode().splitlines()[2] == "3,,2.0"
    head, rows = sizes._table(JUDGED, [2, 3, 4])
    assert head == ["k", "inertia", "gap", ""]
    assert rows == [["2", "5", "1", ""], ["3", "nan", "2", "chosen"], ["4", "1", "inf", ""]]
    facts = sizes._facts(JUDGED, [2, 3, 4], OPTIONS, 0.5)
    assert facts == {
        "sizes": "3, from k = 2 to 4, 3 starts each", "chosen": "k = 3 by gap",
        "fits": "9 in 0.50 s with compilation",
    }  # fmt: skip
    for edges in ([3, 4], [2, 3]):
        assert "edge" in sizes._facts(JUDGED, edges, OPTIONS, 0.5)
    assert "edge" not in sizes._facts(JUDGED, [3], OPTIONS, 0.5)


def test_the_figure_has_the_chosen_size_and_its_errors(monkeypatch):
    drawn = {}
    monkeypatch.setattr(clusters, "criterion", lambda k, v, **given: drawn.update(given, shown=v))
    monkeypatch.setattr(report, "png", lambda figure: b"")
    sizes._figures(JUDGED, [2, 3, 4])
    assert drawn == {
        "shown": {"gap": JUDGED.columns["gap"]}, "errors": {"gap": JUDGED.error}, "chosen": 3,
        "quantity": "gap statistic",
    }  # fmt: skip
