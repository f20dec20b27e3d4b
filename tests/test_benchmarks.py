"""The table of benchmarks: two targets a case, and whether each is met."""

import json

import pytest
from rich.console import Console

from benchmarks import __main__ as table
from benchmarks import scaling
from benchmarks.cases import CASES

_RESULTS = table.RESULTS / "cpu2.json"

_MEASURED = {
    "size": "2 × 2", "target_numpy": 0.9, "target_device": 1.0, "cold_s": 1.0, "peak_MB": 9.0,
    "numpy_s": 0.1, "device_s": 0.1, "peer_s": 0.1, "ratio_numpy": 0.95, "ratio_device": 0.95,
    "error": 1e-7, "peer_error": 1e-7, "right": True, "peer": "Peer", "peer_threads": 1,
    "lapack_threads": 2,
}  # fmt: skip


def _shown(result):
    console = Console(width=250)
    with console.capture() as captured:
        console.print(table.table({"case": result}))
    return captured.get()


def test_numpy_in_and_device_resident_are_asked_apart():
    asked = {name: (case.target_numpy, case.target_device) for name, case in CASES.items()}
    assert asked == {
        "neighbours": (2.5, 2.5),
        "kmeans": (1.2, 1.2),
        "kmeans_sweep": (2.0, 2.0),
        "pca": (0.7, 1.0),
        "pca_tall": (0.7, 1.0),
        "pca_randomised": (1.5, 1.5),
        "pca_transform": (1.0, 1.0),
        "kmeans_predict": (1.0, 1.0),
        "kmeans_transform": (1.0, 1.0),
        "full_mixture": (12.0, 12.0),
        "implicit_feedback": (1.0, 1.0),
        "nmf": (1.0, 1.0),
        "ridge": (0.9, 1.0),
        "least_squares": (2.0, 2.0),
        "logistic": (2.0, 2.0),
        "logistic_iid": (2.0, 2.0),
        "softmax": (1.5, 1.5),
        "mlp_mnist": (1.5, 1.5),
        "adam": (0.91, 0.91),
        "search_ridge": (100.0, 100.0),
        "search_logistic": (12.0, 12.0),
        "bootstrap_logistic": (20.0, 20.0),
    }


def test_the_table_says_which_target_is_met():
    shown = _shown(_MEASURED)
    assert "0.95 of 0.9, met" in shown
    assert "0.95 of 1, missed" in shown


@pytest.mark.parametrize(("ratio", "word"), [(0.9, "met"), (0.8999, "missed")])
def test_a_target_is_met_from_its_number_on(ratio, word):
    assert f"0.90 of 0.9, {word}" in _shown(_MEASURED | {"ratio_numpy": ratio})


def test_a_wrong_answer_meets_nothing():
    shown = _shown(_MEASURED | {"right": False, "ratio_numpy": 9.0, "ratio_device": 9.0})
    assert shown.count("wrong") == 2
    assert ", met" not in shown


def test_an_absent_case_shows_what_is_asked():
    shown = _shown({"size": "2 × 2", "target_numpy": 0.9, "target_device": 1.0, "absent": True})
    assert "of 0.9, absent" in shown
    assert "of 1, absent" in shown


def test_the_kept_results_are_of_these_cases_and_targets():
    kept = json.loads(_RESULTS.read_text(encoding="utf-8"))["cases"]
    assert set(kept) <= set(CASES)
    for name, result in kept.items():
        asked = CASES[name]
        assert (result["target_numpy"], result["target_device"]) == (
            asked.target_numpy,
            asked.target_device,
        )
    assert _shown(kept["ridge"])


def test_slopes_are_of_fits_that_took_their_steps(monkeypatch):
    monkeypatch.setattr(scaling, "_ROWS", (1_000, 2_000, 4_000))
    found = scaling._scaled(scaling.FITS["kmeans"])
    assert found["steps"] == (scaling._STEPS,) * 3
    assert found["share_of_products"] > 0
