"""Precision and cache are the shell's to set."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlmath.cli import runtime
from mlmath.cli.refusal import Refusal


def test_the_cache_lies_where_the_user_says(monkeypatch):
    monkeypatch.delenv("MLMATH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/there")
    assert runtime.cache_folder() == Path("/there/mlmath")
    monkeypatch.setenv("MLMATH_CACHE", "/here")
    assert runtime.cache_folder() == Path("/here")


def test_an_unknown_dtype_is_refused():
    with pytest.raises(Refusal, match="--dtype must be one of"):
        runtime.prepare("float8")


@pytest.mark.parametrize(("dtype", "expected"), [("auto", "float64"), ("float32", "float32")])
def test_a_cpu_computes_in_float64_unless_told_otherwise(dtype, expected, tmp_path):
    code = (
        f"from mlmath.cli import runtime; print(runtime.prepare('{dtype}'));"
        "import jax.numpy as jnp; print(jnp.sqrt(2.0).dtype); print(runtime.device())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        env={"MLMATH_CACHE": str(tmp_path), "JAX_PLATFORMS": "cpu", "PATH": ""},
    )  # fmt: skip
    assert run.stdout.split()[:2] == [expected, expected]
    assert any(tmp_path.iterdir())
