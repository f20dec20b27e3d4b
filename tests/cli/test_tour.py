"""The tour: what a stranger sees first."""

import base64
import json
import re
import subprocess
import sys
import time

import pytest

from mlmath.cli import tour
from mlmath.cli.main import main
from mlmath.cli.methods import METHODS


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tour") / "run"
    assert main(["--out", str(folder)]) == 0
    return folder


def test_the_report_is_one_file_with_every_figure_inside(run):
    page = (run / "report.html").read_text()
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert {base64.b64decode(i) for i in images} == {f.read_bytes() for f in run.glob("*.png")}
    assert len(images) >= len(tour.STOPS)
    assert "http" not in page


def test_the_report_claims_no_proof_that_a_certificate_denies(run):
    page = (run / "report.html").read_text()
    models = [*(s.model for s in tour.STOPS), "mlp", *(s.model for s in tour.STRUCTURES)]
    said = dict(zip(models, re.findall(r"\((NOT )?converged", page), strict=True))
    unproved = [model for model, word in said.items() if word]
    assert unproved == ["perceptron", "mlp"]
    lead = re.search(r"</h1><p>(.*?)</p>", page)[1]
    assert lead.startswith(
        f"{len(models) + 1} models on real data, {len(models) - 2} proved by their certificates, "
        "not converged: perceptron, mlp, nothing to prove: nearest_neighbors"
    )
    assert "fitted and proved" not in page


def test_every_model_is_on_the_tour():
    stops = [*tour.STOPS, tour.NEIGHBORS, *tour.STRUCTURES]
    assert {stop.model for stop in stops} | {"mlp"} == set(METHODS)


def test_every_model_beats_its_baseline_with_a_certificate(tmp_path, capsys):
    assert main(["--json", "--out", str(tmp_path / "run")]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert "500 fits in one call" in shown["search"]
    described = [model for model in shown["models"] if "held-out score" not in model]
    assert len(described) == len(tour.STRUCTURES)
    assert all("(converged" in model["certificate"] for model in described)
    for model in shown["models"]:
        assert model["formula"]
        if model in described:
            continue
        score = model["held-out score"]
        if "accuracy" in score:
            ours, baseline = map(float, re.findall(r"([\d.]+)%", score)[:2])
            assert ours > baseline + 25
        else:
            ours, baseline = map(
                float, re.search(r"error ([\d.]+) .*alone ([\d.]+)", score).groups()
            )
            assert ours < 0.8 * baseline
        # the classes of breast_cancer are not separable, and the perceptron says so
        separable = "perceptron" not in model["title"]
        assert ("NOT converged" in model.get("certificate", "")) != separable


def test_a_folder_that_holds_something_is_refused(run, capsys):
    assert main(["--out", str(run)]) == 2
    assert capsys.readouterr().err.strip() == (
        f"mlmath: '{run}' is not empty; choose another folder with --out."
    )


def test_an_unknown_command_suggests_the_nearest(capsys):
    assert main(["toor"]) == 2
    assert capsys.readouterr().err.strip() == (
        "mlmath: there is no command 'toor'; did you mean 'tour'?"
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
