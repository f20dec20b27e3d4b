"""What the shell sets before jax computes: precision and the cache of compiled programs."""

import os
from pathlib import Path

from mlmath.cli.refusal import Refusal

__all__ = ["DTYPES", "cache_folder", "device", "prepare"]

DTYPES = ("auto", "float32", "float64")


def cache_folder() -> Path:
    """Folder of compiled programs: ``$MLMATH_CACHE``, else ``mlmath`` in the user's cache."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("MLMATH_CACHE") or home / "mlmath")


def prepare(dtype: str = "auto") -> str:
    """Set precision and cache, and return the dtype: float64 on a CPU, float32 elsewhere.

    Raises:
        Refusal: if there is no such dtype.
    """
    if dtype not in DTYPES:
        raise Refusal(f"--dtype must be one of {', '.join(DTYPES)}, got '{dtype}'.")
    import jax

    if dtype == "auto":
        dtype = "float64" if jax.default_backend() == "cpu" else "float32"
    jax.config.update("jax_enable_x64", dtype == "float64")
    if getattr(jax.config, "jax_compilation_cache_dir", None) is None:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    return dtype


def device() -> str:
    """Name the device that computes, for people."""
    import jax

    first = jax.devices()[0]
    kind = first.device_kind if first.platform in first.device_kind.lower() else str(first)
    return f"{len(jax.devices())} × {kind}"
