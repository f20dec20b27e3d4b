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

NOTE = """\
Ours and the peer interleaved in one process pinned to {threads} processors, medians; the peer with
its BLAS at 1 and at {threads} threads, the better one counts, in its fastest variant that is as
right as ours.
cold: first call in a fresh process without a compilation cache, imports excluded (trace, compile,
run). peak: resident high water of that process, interpreter, imports and data included.
ratio: peer / ours, numpy in and device-resident; a wrong answer scores nothing."""


def main():
    """Measure the named cases, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"cases: {', '.join(CASES)}; all if none")
    parser.add_argument("--out", type=Path, help="JSON file of the results")
    parser.add_argument("--threads", type=int, default=_processors(), help="processors for both")
    options = parser.parse_args()
    for name in options.names:
        if name not in CASES:
            parser.error(f"there is no case '{name}'; there are {', '.join(CASES)}.")
    results = {name: _measure(name, options.threads) for name in options.names or CASES}
    Console(width=None if sys.stdout.isatty() else 200).print(_table(results))
    print(NOTE.format(threads=options.threads))
    out = options.out or Path(__file__).parent / "results" / f"cpu{options.threads}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    record = {"threads": options.threads, "python": sys.version.split()[0], "cases": results}
    out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _processors():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _measure(name, threads):
    result = {"size": CASES[name].size, "target": CASES[name].target}
    for mode in ("cold", "warm"):
        command = [sys.executable, "-m", "benchmarks.child", mode, name, str(threads)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        result |= json.loads(done.stdout.splitlines()[-1])
        if result.get("absent"):
            break
    return result


def _table(results):
    table = Table()
    for head in ("case", "size"):
        table.add_column(head, no_wrap=True)
    for head in (
        "cold s", "numpy ms", "device ms", "peer ms", "ratio numpy", "ratio device", "target",
        "error", "peer's", "peer, threads", "peak MB",
    ):  # fmt: skip
        table.add_column(head, justify="right", no_wrap=True)
    for name, r in results.items():
        if r.get("absent"):
            table.add_row(name, r["size"], "absent", *[""] * 5, f"{r['target']:g}", *[""] * 4)
            continue
        ratios = [
            f"{r[key]:.2f}" if r["right"] else "failed" for key in ("ratio_numpy", "ratio_device")
        ]
        table.add_row(
            name, r["size"], f"{r['cold_s']:.2f}",
            *(f"{1e3 * r[key]:.1f}" for key in ("numpy_s", "device_s", "peer_s")),
            *ratios, f"{r['target']:g}", f"{r['error']:.1e}", f"{r['peer_error']:.1e}",
            f"{r['peer']}, {r['peer_threads']}", f"{r['peak_MB']:.0f}",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    main()
