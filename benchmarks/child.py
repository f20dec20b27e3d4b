"""One measurement in a process of its own: ``python -m benchmarks.child cold|warm CASE THREADS``.

Both sides get the same processors: the process is pinned to that many before JAX is imported
(XLA sizes its pool by them), and the pools of BLAS, LAPACK and OpenMP are set by threadpoolctl to
1 and to that many in turn, of which the better counts on each side. Of ours only LAPACK has
such threads: they wait actively after a factorisation, beside XLA's.
"""

import importlib
import json
import os
import resource
import statistics
import sys
import time
from functools import partial

_SECONDS = 18.0  # wall clock for the interleaved rounds of one case
_ROUNDS = (7, 41)
_LONG = 1.0  # seconds of a call that needs no waking, and of which three rounds say enough
_PAUSE = 0.2  # seconds in which the threads of the other side stop spinning
_UNTIMED = 2  # calls that wake the processors and fill the caches as the side itself leaves them


def main(mode, name, threads):
    """Print the measurement as one line of JSON."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    from benchmarks.cases import CASES

    case = CASES[name]
    try:
        module = importlib.import_module(case.module)
    except ModuleNotFoundError as error:
        if error.name != case.module:
            raise
        return {"absent": True}
    try:
        arrays = case.data()
    except FileNotFoundError:
        return {"absent": True}
    return {"cold": _cold, "warm": _warm}[mode](case, module, arrays, threads)


def _cold(case, module, arrays, threads):
    seconds = _timed(lambda: case.ours(module, *arrays))[0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    return {"cold_s": seconds, "peak_MB": peak * unit / 1e6}


def _warm(case, module, arrays, threads):
    import jax
    from threadpoolctl import threadpool_limits

    resident = jax.block_until_ready(tuple(jax.device_put(a) for a in arrays))

    def peer(variant, limit):
        with threadpool_limits(limit):
            return _timed(lambda: case.peers[variant](*arrays))

    def ours(data, limit):
        with threadpool_limits(limit):
            return _timed(lambda: case.ours(module, *data))

    error = _judged(case, arrays, case.answer(ours(resident, 1)[1]))
    variant, settings, peer_error = _equal_variant(case, arrays, error, peer, threads)
    runs = {("peer", limit): partial(peer, variant, limit) for limit in settings}
    for limit in sorted({1, threads}):
        runs["numpy", limit] = partial(ours, arrays, limit)
        runs["device", limit] = partial(ours, resident, limit)
    times = _interleaved(runs)
    best = {}
    for (side, limit), values in times.items():
        found = statistics.median(values), limit
        best[side] = min(best.get(side, found), found)
    (numpy_s, _), (device_s, lapack_threads), (peer_s, peer_threads) = (
        best[side] for side in ("numpy", "device", "peer")
    )
    return {
        "numpy_s": numpy_s, "device_s": device_s, "peer_s": peer_s,
        "ratio_numpy": peer_s / numpy_s, "ratio_device": peer_s / device_s,
        "error": error, "peer_error": peer_error, "right": error <= case.limit,
        "peer": variant, "peer_threads": peer_threads, "lapack_threads": lapack_threads,
        "rounds": min(map(len, times.values())),
        "device": jax.devices()[0].device_kind, "jax": jax.__version__,
    }  # fmt: skip


def _equal_variant(case, arrays, error, peer, threads):
    """Fastest variant of the peer that is as right as ours, or the most right; its threads."""
    found, settings = {}, sorted({1, threads})
    for variant in case.peers:
        for setting in list(settings):
            seconds, answer = peer(variant, setting)
            if setting > 1 and seconds > 5 * found[variant, 1][1]:
                settings.remove(setting)  # threads only harm here
                continue
            if seconds < 0.5:
                seconds = min(seconds, *(peer(variant, setting)[0] for _ in range(3)))
            found[variant, setting] = (_judged(case, arrays, answer), seconds)
    equal = [v for v, (e, _) in found.items() if e <= 1.1 * error]
    chosen = (
        min(equal, key=lambda v: found[v][1]) if equal else min(found, key=lambda v: found[v][0])
    )
    return chosen[0], settings, found[chosen][0]


def _judged(case, arrays, answer):
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return case.error(arrays, answer)


def _interleaved(runs):
    times = {key: [] for key in runs}
    long = {key: run()[0] > _LONG for key, run in runs.items()}
    started = time.perf_counter()
    least, most = (3, 3) if any(long.values()) else _ROUNDS
    rounds = 0
    while rounds < least or (time.perf_counter() - started < _SECONDS and rounds < most):
        rounds += 1
        for key, run in runs.items():
            time.sleep(_PAUSE)
            for _ in range(0 if long[key] else _UNTIMED):
                run()
            times[key].append(run()[0])
    return times


def _timed(run):
    import jax

    started = time.perf_counter()
    result = jax.block_until_ready(run())
    return time.perf_counter() - started, result


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
