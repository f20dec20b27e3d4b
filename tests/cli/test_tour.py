"""The tour: what a stranger sees first."""

import base64
import json
import re
import subprocess
import sys
import time

import pytest

from mlmath.cli.main import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tour") / "run"
    assert main(["--out", str(folder)]) == 0
    return folder


def test_the_report_is_one_file_with_every_figure_inside(run):
    page = (run / "report.html").read_text()
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert {base64.b64decode(i) for i in images} == {f.read_bytes() for f in run.glob("*.png")}
    assert len(images) >= 5
    assert "http" not in page
    assert "converged" in page
    assert "NOT converged" not in page


def test_every_model_beats_its_baseline(tmp_path, capsys):
    assert main(["--json", "--out", str(tmp_path / "run")]) == 0
    models = {m["title"]: m for m in json.loads(capsys.readouterr().out)["models"]}
    error = re.findall(r"[\d.]+", models["Ridge regression"]["held-out error"])
    assert float(error[0]) < 0.8 * float(error[1])
    accuracy = re.findall(r"[\d.]+", models["Logistic regression"]["held-out accuracy"])
    assert float(accuracy[0]) > float(accuracy[1]) + 25


def test_a_folder_that_holds_something_is_refused(run, capsys):
    assert main(["--out", str(run)]) == 2
    assert capsys.readouterr().err.strip() == (
        f"mlmath: '{run}' is not empty; choose another folder with --out."
    )


def test_an_unknown_command_suggests_the_nearest(capsys):
    assert main(["toor"]) == 2
    assert capsys.readouterr().err.strip() == (
        "mlmath: there is no command 'toor'; did you mean `mlmath tour`?"
    )


def test_help_comes_within_a_second_and_without_jax():
    code = "import sys; from mlmath.cli.main import main; main(['-h']); print('jax' in sys.modules)"
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        seconds.append(time.perf_counter() - start)
    assert shown.endswith("False\n")
    assert "tour" in shown
    assert min(seconds) < 1
