"""The shell sets precision for its process: tests get theirs back."""

import jax
import pytest

from mlmath.cli.main import main


@pytest.fixture
def shell(capsys, tmp_path, monkeypatch):
    """Run ``mlmath`` in an empty folder; gives exit code, output and complaint."""
    monkeypatch.chdir(tmp_path)
    x64 = jax.config.values["jax_enable_x64"]

    def run(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:
            code = stop.code
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    yield run
    jax.config.update("jax_enable_x64", x64)
