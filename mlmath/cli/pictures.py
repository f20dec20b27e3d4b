"""Pictures of a network that looks at images: columns named ``…_row_column`` are pixels.

Rows and columns are counted from 0 or 1, and at least half of the pixels must be there; one that is
not among the columns, as one that never varies, is drawn as 0.
"""

import re
from typing import Any

import numpy as np

from mlmath.cli import networks, report

__all__ = ["figures", "pixels", "placed"]


def pixels(names: list[str]) -> np.ndarray | None:
    """Row and column of each pixel (d, 2), or None where the names are no pixels of one image.

    >>> pixels(["pixel_0_1", "pixel_1_0"]).tolist()
    [[0, 1], [1, 0]]
    """
    found = [re.fullmatch(r"(.*?)_?(\d{1,4})_(\d{1,4})", name) for name in names]
    if len({match[1] if match else None for match in found}) != 1 or not found[0]:
        return None
    places = np.array([[int(match[2]), int(match[3])] for match in found if match])
    first, (height, width) = places.min(axis=0), places.max(axis=0) + 1
    different = len(np.unique(places, axis=0)) == len(places)
    filled = len(places) >= height * width / 2 and min(height, width) > 1
    return places if different and filled and (first <= 1).all() else None


def figures(trained: Any, raw: Any) -> dict[str, bytes]:
    """The images that were judged worst, and the first layer; nothing without pixels."""
    from mlmath.plot import images

    gathered, held = trained.ready.gathered, trained.outcome.held
    numbers = all(column.categories is None for column in gathered.columns)
    places = pixels([column.name for column in gathered.columns]) if numbers else None
    if places is None:
        return {}
    height, width = (int(size) + 1 for size in places.max(axis=0))
    shape = (height, width)
    net = networks.inner(trained.outcome.params, raw).net
    weights = placed(np.asarray(net.layers[0].weights)[:, : len(places)], places, shape)
    drawn = images.first_layer(weights.reshape(len(weights), -1), shape)
    found = {"Weights of the first layer, one picture per unit": report.png(drawn)}
    if held is None or not held.labels:
        return found
    seen = gathered.features.filter(trained.ready.held).to_numpy().astype(float)
    worst = images.worst_judged(
        placed(seen, places, shape), held.observed.astype(int), held.predicted,
        sample_weight=held.weight, names=[str(label) for label in held.labels],
    )  # fmt: skip
    caption = "Held-out images that were judged worst, numbered among the held-out rows"
    return {caption: report.png(worst)} | found


def placed(values: np.ndarray, places: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Images (n, h, w) with a value at each of the places."""
    images = np.zeros((len(values), *shape))
    images[:, places[:, 0], places[:, 1]] = values
    return images
