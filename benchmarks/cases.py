"""All cases: one file per room of mlmath, listed here."""

from benchmarks import latent, linear, neural, optimize, selection

CASES = {
    case.name: case for room in (latent, linear, neural, optimize, selection) for case in room.CASES
}
