import numpy as np
import pytest

from mlmath.cli import summary

_RECORD = {
    "data": {"name": "t"}, "rows_fitted": 9, "rows_left_out": 2, "columns": [{}, {}], "target": "y",
    "labels": ["a", "b"], "held_out": {}, "seconds": {"first": 1.5, "again": 0.25},
    "device": "1 × cpu", "dtype": "float64",
    "certificate": {"gap": 2e-9, "converged": False, "steps": 3},
    "coefficients": {
        "intercept": 0.5, "slopes": {"u": 2.0, "v": -30.0},
        "per_standard_deviation": {"u": 0.2, "v": 0.9},
    },
}  # fmt: skip


def test_facts_are_in_the_order_of_effect_and_say_what_did_not_converge():
    facts = summary.facts(_RECORD)
    assert facts["data"] == "t: 9 rows, 2 left out, 2 columns"
    assert facts["target"] == "y (a, b)"
    assert facts["certificate"] == "within 2.0e-09 of the optimum (NOT converged, 3 steps)"
    assert list(facts)[-3:] == ["intercept", "× v", "× u"]
    assert (facts["intercept"], facts["× v"]) == ("0.5", "-30")


def test_several_classes_are_listed_in_the_order_of_the_labels():
    found = {"intercept": [0.0, 1.0, 2.0], "slopes": {"u": [1.0, 2.0, 3.0]}}
    found["per_standard_deviation"] = {"u": 3.0}
    facts = summary.facts(_RECORD | {"labels": ["a", "b", "c"], "coefficients": found})
    assert facts["coefficients of"] == "a, b, c"
    assert facts["× u"] == "1, 2, 3"


@pytest.mark.parametrize("count", [12, 13])
def test_the_rest_is_counted(count):
    names = [f"c{k}" for k in range(count)]
    values = dict(zip(names, np.arange(1.0, count + 1), strict=True))
    found = {"intercept": 0.0, "slopes": values, "per_standard_deviation": values}
    facts = summary.facts(_RECORD | {"coefficients": found})
    assert ("c0" in str(facts)) == (count == 12)
    assert facts.get("") == (None if count == 12 else "and 1 more in run.json")


@pytest.mark.parametrize(
    ("hyperparameters", "converged", "advised"),
    [
        ({"l2": 0.0}, False, True),
        ({"l2": 0.0}, True, False),
        ({"l2": 1.0}, False, False),
        ({"epochs": 9}, False, False),
    ],
)
def test_why_there_is_no_proof_is_said_where_no_penalty_is_the_reason(
    hyperparameters, converged, advised
):
    certificate = _RECORD["certificate"] | {"converged": converged}
    facts = summary.facts(
        _RECORD | {"certificate": certificate, "hyperparameters": hyperparameters}
    )
    assert ("why" in facts) == advised
    if advised:
        assert list(facts)[list(facts).index("certificate") + 1] == "why"
        assert facts["why"] == (
            "with --l2 0 the objective may be flat, or fall without a minimiser, in some "
            "direction; --l2 0.001 gives it a minimiser"
        )


def test_after_a_sweep_over_l2_the_range_is_advised_not_the_flag():
    swept = {"hyperparameters": {"l2": 0.0}, "sweep": {"over": {"l2": [0.0, 1.0]}}}
    why = summary.facts(_RECORD | swept)["why"]
    assert "--l2" not in why
    assert why.endswith("direction; --over l2 from 0.001 up gives it a minimiser")
    other = swept | {"sweep": {"over": {"tolerance": [0.1]}}}
    assert "--l2 0.001" in summary.facts(_RECORD | other)["why"]
