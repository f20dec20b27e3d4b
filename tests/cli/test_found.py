"""What is common to what the shell finds in rows."""

import numpy as np

from mlmath.cli import found


def some(**changes):
    rows = np.arange(8.0).reshape(4, 2)
    given = found.Found(
        None, rows, rows, ["a", "b"], np.ones(4), None, np.array([1.0, 0]), np.array([2.0, 4]),
        False,
    )  # fmt: skip
    return given._replace(**changes)


def test_groups_color_if_they_are_few():
    codes, names = found.groups(some(groups=["b", "a", None, "b"]))
    assert names == ["a", "b", "missing"]
    assert codes.tolist() == [1, 0, 2, 1]
    for entries in (None, ["same"] * 4):
        assert found.groups(some(groups=entries)) == (None, None)
    assert found.groups(some(groups=[1, 2, 3, 4]), most=3) == (None, None)
    assert found.groups(some(groups=[1, 2, 3, 4]), most=4)[1] == ["1", "2", "3", "4"]


def test_standard_units_are_those_of_the_fit():
    np.testing.assert_array_equal(found.standard(some())[1], [(2 - 1) / 2, 3 / 4])
