"""Rooms: a package that loads its modules when they are named."""

import pytest

import mlmath.linear
from mlmath.rooms import lazy


def test_a_module_is_loaded_by_its_name():
    load, listing = lazy("mlmath.linear", mlmath.linear.__path__)
    assert load("ridge").__name__ == "mlmath.linear.ridge"
    assert "ridge" in listing()


def test_an_unknown_name_lists_the_known_ones():
    load, _ = lazy("mlmath.linear", mlmath.linear.__path__)
    with pytest.raises(AttributeError, match=r"no attribute 'rigde'; it has .*ridge"):
        load("rigde")
