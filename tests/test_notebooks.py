"""The notebooks are true: each script runs to its end, and what is shown is what was run.

After a change of a script, ``jupytext --sync notebooks/*.py`` carries it into the notebook and
``jupyter execute --inplace notebooks/*.ipynb`` runs that (extra ``notebooks``).
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "notebooks").glob("*.py"))
PAGES = sorted((ROOT / "notebooks").glob("*.ipynb"))

scripts = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
pages = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)


def read(page):
    return json.loads(page.read_text(encoding="utf-8"))


def cells(notebook):
    """Kind and text of each cell."""
    return [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]


def outputs(page):
    return [out for cell in read(page)["cells"] for out in cell.get("outputs", [])]


def test_scripts_and_notebooks_are_pairs():
    assert [s.stem for s in SCRIPTS] == [p.stem for p in PAGES]
    assert SCRIPTS


@scripts
def test_both_of_a_pair_say_the_same(script):
    assert cells(jupytext.read(script)) == cells(read(script.with_suffix(".ipynb")))


@pages
def test_a_notebook_was_run_from_its_first_cell_to_its_last(page):
    runs = [cell["execution_count"] for cell in read(page)["cells"] if cell["cell_type"] == "code"]
    assert runs == list(range(1, len(runs) + 1))
    kinds = {kind for out in outputs(page) for kind in out.get("data", {})}
    assert "image/png" in kinds


@pages
def test_a_notebook_shows_no_error_and_no_warning(page):
    for out in outputs(page):
        assert out["output_type"] != "error"
        assert out.get("name") != "stderr", out["text"]


@pages
def test_every_figure_is_drawn(page):
    for out in outputs(page):
        shown = out.get("data", {})
        if "Figure" in "".join(shown.get("text/plain", "")):
            assert "image/png" in shown


@pages
def test_a_notebook_is_small_and_knows_no_machine(page):
    text = page.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    words = re.sub(r'"image/png": "[^"]*"', "", text)
    for place in (str(ROOT), "/tmp/", "/home/", "/root/", "/Users/", "site-packages"):
        assert place not in words
    assert read(page)["metadata"]["kernelspec"]["name"] == "python3"


@scripts
def test_every_claim_of_a_script_holds(script):
    environment = os.environ | {
        "MPLBACKEND": "Agg",
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "notebooks" / script.stem),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }
    environment.pop("DISPLAY", None)
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
