"""Tests run strictly: eight devices, float64 at hand, no silent broadcasting of ranks."""

import doctest
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

# A test runs its programs once or twice: they are compiled quickly, which takes half of the time.
# CI asks the contract of programs as users have them too, by an empty XLA_FLAGS.
_QUICK = "--xla_backend_optimization_level=0"
if version("jax").startswith("0.10."):  # later versions do not know it
    _QUICK += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", _QUICK)
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads wait actively beside the tests

import jax  # noqa: E402

_ROOT = Path(__file__).parent

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run folders in up to four processes, and files or a keyword in one, which starts sooner."""
    few = all(Path(argument.split("::")[0]).is_file() for argument in config.args)
    return 0 if few or config.option.keyword else min(os.cpu_count() or 1, 4)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ask all promises of one fit in turn, so that few processes compile its programs."""
    places = [i for i, item in enumerate(items) if item.get_closest_marker("contract")]
    promises = sorted((items[i] for i in places), key=_case)
    for i, item in zip(places, promises, strict=True):
        items[i] = item


def _case(item: pytest.Item) -> str:
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return params["case"].name if "case" in params else ""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Compare bits of programs as users have them: in a process of its own, compiled in full."""
    if pyfuncitem.get_closest_marker("bits") is None or os.environ["XLA_FLAGS"] != _QUICK:
        return None
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", pyfuncitem.nodeid],
        capture_output=True, text=True, check=False, cwd=_ROOT, env=os.environ | {"XLA_FLAGS": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout, done.stdout
    return True


def pytest_runtest_teardown() -> None:
    """Let compiled programs go before the process runs out of memory maps (65,530 on Linux)."""
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 20_000:
        jax.clear_caches()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Certified results and larger data sets; present in development and in CI."""
    folder = Path(os.environ.get("MLMATH_SHARED", _ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"certified results are not at {folder} (set MLMATH_SHARED)")
    return folder
