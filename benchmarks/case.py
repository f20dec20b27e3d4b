"""What a benchmark case is: one problem, our answer, the peer's answers, and who is right."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

Arrays = tuple[np.ndarray, ...]


class Case(NamedTuple):
    """One line of the table. A later module adds one of these to its room's ``CASES``."""

    name: str
    size: str
    module: str  # of mlmath; while it does not exist the case is reported as absent
    data: Callable[[], Arrays]  # the same NumPy arrays for both; absent where a file is
    ours: Callable[..., Any]  # (module, *arrays) -> what our fit returns
    answer: Callable[[Any], Arrays]  # what our fit returns -> numbers that are compared
    peers: Mapping[str, Callable[..., Arrays]]  # variants of the peer: arrays -> such numbers
    measure: str  # what error() is, in words
    error: Callable[[Arrays, Arrays], float]  # (arrays, numbers) in float64; less is better
    limit: float  # our error may not exceed this: a wrong answer scores nothing
    target_numpy: float  # ratio peer / ours that is asked of the warm call with NumPy arrays
    target_device: float  # the same of the warm call with arrays that are on the device already


def coefficients(fit: Any) -> Arrays:
    """Weights and bias of a linear fit."""
    return np.asarray(fit.params.weights, float), np.asarray(fit.params.bias, float)
