"""Time against rows, share of the products, and two devices: ``python -m benchmarks.scaling``.

Each fit runs with a fixed number of steps on 10³ … 10⁶ rows; the slope is that of log time
against log n by least squares, of all and of those from 10⁴ on, where what a call costs by itself
counts less. Two devices with all processors are compared with one that has them all, and with one
that has as many as each of the two. The share is the time of the matrix products that the fit
cannot avoid, as ``jnp`` computes them alone, over that of the fit, at the most rows; k-means
assigns once more than it steps to prove its gap, and once for the labels.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
_ROWS = (1_000, 10_000, 100_000, 1_000_000)
_STEPS = 10


def main():
    """Measure all fits, print what was found, and keep it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file; in results/ if not given")
    options = parser.parse_args()
    if os.environ.get("MLMATH_DEVICES"):
        import jax

        if hasattr(os, "sched_setaffinity"):
            processors = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, processors[: int(os.environ["MLMATH_PROCESSORS"])])
        jax.config.update("jax_num_cpu_devices", int(os.environ["MLMATH_DEVICES"]))
        print(_median(*_kmeans(100_000)))
        return
    found = {name: _scaled(make) for name, make in FITS.items()}
    every = os.cpu_count() or 1
    alone, one, two = (
        _with_devices(*how) for how in ((1, max(1, every // 2)), (1, every), (2, every))
    )
    found["kmeans"]["speedup_of_two_devices"] = one / two
    found["kmeans"]["speedup_over_one_device_of_half_the_processors"] = alone / two
    for name, result in found.items():
        print(name, json.dumps(result))
    out = options.out or RESULTS / f"scaling{os.cpu_count()}.json"
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _scaled(make):
    seconds, steps = zip(*(_run(*make(n)) for n in _ROWS), strict=True)
    slope, later = (np.polyfit(np.log(_ROWS[i:]), np.log(seconds[i:]), 1)[0] for i in (0, 1))
    products = _median(*make(_ROWS[-1], products=True))
    return {
        "rows": _ROWS, "seconds": seconds, "steps": steps, "slope": float(slope),
        "slope_from_the_second_on": float(later),
        "share_of_products": products / seconds[-1],
    }  # fmt: skip


def _run(function, *arrays):
    """Seconds of a fit, and how many steps it took; None of what takes none."""
    steps = getattr(getattr(function(*arrays), "certificate", None), "steps", None)
    return _median(function, *arrays), None if steps is None else int(steps)


def _median(function, *arrays, rounds=5):
    import jax

    jax.block_until_ready(function(*arrays))
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        jax.block_until_ready(function(*arrays))
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def _with_devices(many, processors):
    """Seconds of k-means with the rows spread over so many devices of so many processors."""
    environment = os.environ | {
        "MLMATH_DEVICES": str(many), "MLMATH_PROCESSORS": str(processors)
    }  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.scaling"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return float(done.stdout.splitlines()[-1])


def _rows(n, d):
    """Rows of sixteen clouds, spread over the devices, and the first 64."""
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    rng = np.random.default_rng(0)
    X = (3 * rng.normal(size=(16, d)))[rng.integers(16, size=n)] + rng.normal(size=(n, d))
    X = X.astype(np.float32)
    mesh = Mesh(np.array(jax.devices()), "rows")
    return jax.device_put(X, NamedSharding(mesh, PartitionSpec("rows"))), jax.numpy.asarray(X[:64])


def _kmeans(n, *, products=False):
    import jax

    from mlmath.latent import kmeans

    X, C = _rows(n, 32)
    if not products:
        return partial(kmeans.fit, tolerance=0.0, max_steps=_STEPS), C, X
    return jax.jit(lambda C, X: _summed(X, lambda x: x @ C.T, 64, _STEPS + 2)), C, X


def _summed(X, product, width, steps):
    """Products of blocks of rows, as often as the steps make them."""
    import jax.numpy as jnp
    from jax import lax

    rows = min(len(X), max(1, 2**18 // width))

    def one(i, total):
        x = lax.dynamic_slice_in_dim(X, (i * rows) % len(X), rows)
        return lax.optimization_barrier(product(x + total[:1, :1]))[:1] * 0

    total = jnp.zeros((1, width), X.dtype)
    return lax.fori_loop(0, steps * (len(X) // rows), one, total)


def _mixture(n, *, products=False):
    import jax
    import jax.numpy as jnp

    from mlmath.latent import full_mixture

    X, C = _rows(n, 16)
    params = full_mixture.Params(
        jnp.full(16, 1 / 16), C[:16], jnp.broadcast_to(10 * jnp.eye(16), (16, 16, 16))
    )
    if not products:
        return partial(full_mixture.fit, tolerance=0.0, max_steps=_STEPS), params, X
    features = 16 * 17 // 2 + 17  # of a row and its squares; one product there, one back
    G = jnp.ones((features, 16))

    def both(x):
        Z = jnp.tile(x, (1, -(-features // 16)))[:, :features]
        return (Z.T @ (Z @ G))[:1]

    return jax.jit(lambda params, X: _summed(X, both, 16, _STEPS)), params, X


def _pca(n, *, products=False):
    import jax

    from mlmath.latent import pca

    X, _ = _rows(n, 128)
    if not products:
        return partial(pca.fit, k=20), X
    return jax.jit(lambda X: X.T @ X), X


def _neighbours(n, *, products=False):
    import jax

    from mlmath.linalg.nearest import smallest

    X, _ = _rows(n, 32)
    Q = X[:500]
    if not products:
        return partial(smallest, k=10), Q, X
    return jax.jit(lambda Q, X: _summed(X, lambda x: x @ Q.T, 500, 1)), Q, X


FITS = {"kmeans": _kmeans, "full_mixture": _mixture, "pca": _pca, "neighbours": _neighbours}

if __name__ == "__main__":
    main()
