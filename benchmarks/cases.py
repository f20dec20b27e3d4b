"""All cases: one file per room of mlmath, listed here."""

from benchmarks import linear, selection

CASES = {case.name: case for room in (linear, selection) for case in room.CASES}
