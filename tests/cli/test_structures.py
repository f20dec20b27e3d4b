"""The table of what describes rows."""

import inspect

import pytest

from mlmath.cli import methods, structures


def test_every_method_without_a_target_is_a_structure():
    table = {name for name, m in methods.METHODS.items() if m.task == "structure"}
    assert set(structures.STRUCTURES) == table


@pytest.mark.parametrize("name", sorted(structures.STRUCTURES))
def test_the_part_takes_a_target_and_row_weights_and_holds_its_numbers(name):
    part = structures.STRUCTURES[name].bind({"k": 2})
    takes = inspect.signature(part.fit).parameters
    assert list(takes)[:2] == ["X", "y"]
    assert takes["sample_weight"].default is None
    assert part.fit.keywords["k"] == 2
