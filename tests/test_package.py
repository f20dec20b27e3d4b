"""The package as a whole: what importing it costs and brings."""

import subprocess
import sys

import pytest

import mlmath


def _python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_import_loads_no_room_and_no_jax():
    loaded = _python(
        "import sys, mlmath; print([m for m in sys.modules if m.startswith(('mlmath.', 'jax.'))])"
    )
    assert loaded.strip() == "['mlmath.arguments', 'mlmath.rooms']"


def test_import_adds_little_to_that_of_jax():
    code = (
        "import time, jax; t = time.perf_counter(); import mlmath; print(time.perf_counter() - t)"
    )
    assert min(float(_python(code)) for _ in range(3)) <= 0.15


def test_rooms_arrive_on_first_use():
    seen = _python("import mlmath; print(mlmath.linear.ridge.fit.__name__, dir(mlmath.linear))")
    assert seen.startswith("fit ['adaline', 'least_squares'")
    assert {"linear", "optimize", "rows"} <= set(dir(mlmath))


def test_an_unknown_room_lists_the_known_ones():
    with pytest.raises(AttributeError, match="linear"):
        _ = mlmath.cellar
