"""Padding: rows of weight 0 up to the next bucket, so that a new length is not a new program.

Weight 0 is absence, so a table of n rows and the same table with zeros of weight 0 below it
have the same fit; but a compiled program belongs to one length. With lengths rounded up to

    b(n) = min { m·2ᵉ ≥ n : m ∈ {4, 5, 6, 7}, m·2ᵉ ≥ 64 }                       (1)

at most a fifth of the rows are padding (beyond 64), and four programs serve each doubling.

>>> from mlmath.statistics import padding
>>> [padding.bucket(n) for n in (3, 64, 65, 442, 100_000)]
[64, 64, 80, 448, 114688]
"""

import numpy as np
from jaxtyping import Shaped

__all__ = ["bucket", "pad"]


def bucket(n: int) -> int:
    """Length b(n) that stands for ``n`` rows, eq. (1)."""
    step = 1 << max((max(n, 64) - 1).bit_length() - 3, 4)
    return max(-(-n // step) * step, 64)


def pad(array: Shaped[np.ndarray, "n ..."], length: int) -> Shaped[np.ndarray, "m ..."]:
    """``array`` with rows of zeros below it, ``length`` rows in all."""
    return np.concatenate([array, np.zeros((length - len(array), *array.shape[1:]), array.dtype)])
