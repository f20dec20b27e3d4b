"""The map of the README leads somewhere: each module and each function in it exists."""

import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "README.md"
MAP = PAGE.read_text(encoding="utf-8").partition("## The map")[2].partition("\n## ")[0]
CELLS = [
    [cell.strip() for cell in line.split("|")[1:-1]] for line in MAP.splitlines() if "|" in line
]


def _named(cell):
    return re.findall(r"`([^`]+)`", cell)


def _lines():
    """Module and the functions named for it; ``.b`` after ``a.b`` is a module of ``a``."""
    for _, modules, functions in CELLS[2:]:
        package, groups = "", functions.split(";") if functions else []
        for k, name in enumerate(_named(modules)):
            package = package if name.startswith(".") else name.partition(".")[0]
            whole = package + name if name.startswith(".") else name
            yield whole, _named(groups[k]) if groups else []
        assert len(groups) in (0, k + 1), f"{modules}: one group of functions per module"


LINES = list(_lines())


def test_the_map_is_read():
    assert CELLS[0] == ["chapter", "package", "functions"]
    assert len(LINES) > 30
    assert ("linalg.shifted", ["prepare", "solver"]) in LINES
    assert ("statistics.padding", ["bucket", "pad"]) in LINES


@pytest.mark.parametrize(("module", "functions"), LINES, ids=[module for module, _ in LINES])
def test_what_the_map_names_exists(module, functions):
    found = import_module("mlmath" if module == "mlmath" else f"mlmath.{module}")
    for name in functions:
        assert name in found.__all__
        assert callable(getattr(found, name))
