"""All cases: one file per room of mlmath, listed here."""

from benchmarks import kernels, linear, neural, optimize, recommendation, selection

CASES = {
    case.name: case
    for room in (kernels, linear, neural, optimize, recommendation, selection)
    for case in room.CASES
}
