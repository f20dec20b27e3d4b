"""Tests run strictly: eight devices, float64 at hand, no silent broadcasting of ranks."""

import doctest
import os
from pathlib import Path

import jax

_ROOT = Path(__file__).parent

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
if not os.environ.get("CI"):  # a clean checkout has no programs to reuse; writing them costs time
    jax.config.update("jax_compilation_cache_dir", str(_ROOT / ".cache" / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)

import pytest  # noqa: E402
from sybil import Sybil  # noqa: E402
from sybil.parsers.markdown import PythonCodeBlockParser  # noqa: E402

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS)],
    patterns=["README.md", "CONTRIBUTING.md"],
).pytest()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Certified results and larger data sets; present in development and in CI."""
    folder = Path(os.environ.get("MLMATH_SHARED", _ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"certified results are not at {folder} (set MLMATH_SHARED)")
    return folder
