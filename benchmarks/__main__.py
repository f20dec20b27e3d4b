"""Print the table of benchmarks and write it as JSON: ``python -m benchmarks [names]``."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.cases import CASES

RESULTS = Path(__file__).parent / "results"
NOTE = """\
Ours and the peer interleaved in one process pinned to {threads} processors, medians; each timed
call follows a pause, in which the threads of the other side stop spinning, and two untimed calls.
Both with BLAS and LAPACK at 1 and at {threads} threads, the better one counts (of ours only LAPACK
has them); the peer in its fastest variant that is as right as ours.
cold: first call in a fresh process without a compilation cache, imports excluded (trace, compile,
run). peak: resident high water of that process, interpreter, imports and data included.
ratio: peer / ours with NumPy arrays and with arrays that are on the device already, of what is
asked; a wrong answer meets nothing."""


def main():
    """Measure the named cases, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"cases: {', '.join(CASES)}; all if none")
    parser.add_argument("--out", type=Path, help="JSON file; results/ if all cases are measured")
    parser.add_argument("--threads", type=int, default=_processors(), help="processors for both")
    options = parser.parse_args()
    for name in options.names:
        if name not in CASES:
            parser.error(f"there is no case '{name}'; there are {', '.join(CASES)}.")
    results = {name: _measure(name, options.threads) for name in options.names or CASES}
    Console(width=None if sys.stdout.isatty() else 200).print(table(results))
    print(NOTE.format(threads=options.threads))
    if options.names and not options.out:
        return  # some cases alone do not replace the kept table
    out = options.out or RESULTS / f"cpu{options.threads}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    record = {"threads": options.threads, "python": sys.version.split()[0], "cases": results}
    out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _processors():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _measure(name, threads):
    print(f"measuring {name} …", file=sys.stderr)
    case = CASES[name]
    result = {
        "size": case.size, "target_numpy": case.target_numpy, "target_device": case.target_device,
    }  # fmt: skip
    for mode in ("cold", "warm"):
        command = [sys.executable, "-m", "benchmarks.child", mode, name, str(threads)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        result |= json.loads(done.stdout.splitlines()[-1])
        if result.get("absent"):
            break
    return result


def table(results):
    """Table of the results for people; each ratio with what is asked and whether it is met."""
    grid = Table()
    for head in ("case", "size"):
        grid.add_column(head, no_wrap=True)
    for head in (
        "cold s", "numpy ms", "device ms", "peer ms", "numpy ratio", "device ratio",
        "error", "peer's", "peer, threads", "LAPACK threads", "peak MB",
    ):  # fmt: skip
        grid.add_column(head, justify="right", no_wrap=True)
    for name, r in results.items():
        ratios = [_judgement(r, side) for side in ("numpy", "device")]
        if r.get("absent"):
            grid.add_row(name, r["size"], *[""] * 4, *ratios, *[""] * 5)
            continue
        grid.add_row(
            name, r["size"], f"{r['cold_s']:.2f}",
            *(f"{1e3 * r[key]:.1f}" for key in ("numpy_s", "device_s", "peer_s")),
            *ratios, f"{r['error']:.1e}", f"{r['peer_error']:.1e}",
            f"{r['peer']}, {r['peer_threads']}", str(r["lapack_threads"]), f"{r['peak_MB']:.0f}",
        )  # fmt: skip
    return grid


def _judgement(result, side):
    asked = f"of {result[f'target_{side}']:g}"
    if result.get("absent"):
        return f"{asked}, absent"
    if not result["right"]:
        return f"{asked}, wrong"
    ratio = result[f"ratio_{side}"]
    return f"{ratio:.2f} {asked}, {'met' if ratio >= result[f'target_{side}'] else 'missed'}"


if __name__ == "__main__":
    main()
