"""All cases: one file per room of mlmath, listed here."""

from benchmarks import linear

CASES = {case.name: case for room in (linear,) for case in room.CASES}
