import json

import jax
import pytest

import mlmath
from mlmath.cli import doctor


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_versions_devices_precision_and_cache_are_shown(shell, dtype):
    code, shown, _ = shell("doctor", "--json", "--dtype", dtype)
    found = json.loads(shown)
    assert code == 0
    assert (found["mlmath"], found["jax"]) == (mlmath.__version__, jax.__version__)
    assert found["devices"].count("cpu") >= 8
    assert found["precision"].startswith(dtype)
    assert found["trial fit"].startswith("right")
    assert str(jax.config.values["jax_compilation_cache_dir"]) in found["cache"]


def test_an_installation_that_computes_wrongly_is_refused(shell, monkeypatch):
    monkeypatch.setattr(doctor, "_trial", lambda dtype: "wrong by 1.0e+00")
    code, _, complaint = shell("doctor")
    assert code == 2
    assert "the trial fit is wrong by 1.0e+00" in complaint
