"""``mlmath doctor``: what a fit would run on, and whether it runs."""

import json
import platform
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mlmath.cli import display, flags, runtime
from mlmath.cli.refusal import Refusal

__all__ = ["run"]

_OPTIONS = [
    flags.Option("dtype", str, "auto, float32 or float64", "auto", "DTYPE"),
    flags.Option("json", bool, "print JSON instead of a table", False),
]
_PACKAGES = ("jax", "jaxlib", "numpy", "polars", "safetensors", "matplotlib", "tyro", "rich")


def run(words: Sequence[str]) -> int:
    """Run ``mlmath doctor`` with the words of the command line."""
    options = flags.parse(
        "mlmath doctor", "Show versions, devices, precision and cache.", _OPTIONS, words
    )
    dtype = runtime.prepare(options.dtype)
    facts = _facts(dtype)
    if options.json:
        print(json.dumps(facts, indent=2), flush=True)
    else:
        display.facts("mlmath doctor", facts)
    if not facts["trial fit"].startswith("right"):
        raise Refusal(
            f"the trial fit is {facts['trial fit']}: this installation does not compute correctly."
        )
    return 0


def _facts(dtype):
    import jax

    from mlmath import __version__

    facts = {
        "mlmath": __version__,
        "python": f"{platform.python_version()} on {platform.platform()}",
    }
    facts |= {package: _version(package) for package in _PACKAGES}
    facts["devices"] = ", ".join(f"{d.platform} {d.device_kind} {d.id}" for d in jax.devices())
    facts["precision"] = f"{dtype}; matrix products of a fit at full precision"
    facts["trial fit"] = _trial(dtype)
    facts["cache"] = _cache()
    return facts


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _trial(dtype):
    """Fit y = 1 + 2x, which least squares must find."""
    import numpy as np

    from mlmath.linear import ridge

    start = time.perf_counter()
    x = np.arange(8, dtype=dtype)
    params = ridge.fit(x[:, None], 1 + 2 * x, l2=0.0).params
    error = max(abs(float(params.weights[0]) - 2), abs(float(params.bias) - 1))
    word = "right" if error < 100 * np.finfo(dtype).eps else f"wrong by {error:.1e}"
    return f"{word}, {time.perf_counter() - start:.2f} s"


def _cache():
    import jax

    folder = Path(jax.config.values["jax_compilation_cache_dir"] or runtime.cache_folder())
    entries = [path for path in folder.glob("*") if path.is_file()] if folder.is_dir() else []
    size = sum(path.stat().st_size for path in entries) / 1e6
    state = f"{len(entries)} files, {size:.1f} MB" if entries else "empty or not writable"
    return f"{folder} ({state})"
