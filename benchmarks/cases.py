"""All cases: one file per room of mlmath, listed here."""

from benchmarks import kernels, latent, linear, mixtures, neural, optimize, selection

CASES = {
    case.name: case
    for room in (kernels, latent, linear, mixtures, neural, optimize, selection)
    for case in room.CASES
}
