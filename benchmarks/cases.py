"""All cases: one file per room of mlmath, listed here."""

from benchmarks import (
    kernels,
    latent,
    linear,
    mixtures,
    neural,
    optimize,
    recommendation,
    selection,
)

ROOMS = (kernels, latent, linear, mixtures, neural, optimize, recommendation, selection)
CASES = {case.name: case for room in ROOMS for case in room.CASES}
