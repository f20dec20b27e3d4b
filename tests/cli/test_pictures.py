"""Pictures of a network that looks at images."""

import jax
import numpy as np
import pytest

from mlmath.cli import examples, fit, network, pictures, training
from mlmath.data import readers
from mlmath.plot import images


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (["pixel_0_1", "pixel_1_0"], [[0, 1], [1, 0]]),
        (["p0_1", "p1_0", "p1_1"], [[0, 1], [1, 0], [1, 1]]),
        ([f"sales_{year}_{month}" for year in (2023, 2024) for month in range(1, 13)], None),
        (["d_0_0", "d_9999_9999"], None),
        (["lag_0_1", "lag_0_2"], None),
        (["pixel_0_1", "other_2_0"], None),
        (["pixel_0_1", "pixel_00_1"], None),
        (["pixel_0_1", "age"], None),
        (["age", "sex"], None),
    ],
    ids=["pixels", "short", "dates", "far", "one row", "two images", "twice", "mixed", "none"],
)
def test_pixels_are_columns_that_say_where_they_are(names, places):
    found = pictures.pixels(names)
    assert (None if found is None else found.tolist()) == places


@pytest.fixture
def drawn(monkeypatch):
    """What the figures are drawn from."""
    seen = {}
    for name in ("worst_judged", "first_layer"):

        def noted(*args, name=name, draw=vars(images)[name], **kwargs):  # noqa: B008
            seen[name] = (args, kwargs)
            return draw(*args, **kwargs)

        monkeypatch.setattr(images, name, noted)
    return seen


def trained(data):
    options, values = fit.Plain(), network.defaults() | {"hidden": (5,), "steps": 20}
    gathered = examples.gather(readers.read(data), "any", options)
    ready = training.prepare(gathered, options, values, "float64")
    return training.train(ready, options, values, None, [])


def test_images_and_weights_lie_where_their_pixels_are(drawn):
    found = trained("digits")
    assert len(pictures.figures(found, False)) == 2
    (shown, y, probability), options = drawn["worst_judged"]
    whole = readers.read("digits").table
    held = np.flatnonzero(found.ready.held)
    for row, place in ((0, (2, 3)), (7, (5, 4))):
        assert shown[row][place] == whole[f"pixel_{place[0]}_{place[1]}"][int(held[row])]
    assert not shown[:, 0, 0].any()  # a constant column, which is no feature
    np.testing.assert_array_equal(y, found.outcome.held.observed)
    assert probability.shape == (len(held), 10)
    assert options["names"] == [str(k) for k in range(10)]
    (weights, shape), _ = drawn["first_layer"]
    assert shape == (8, 8)
    net = jax.tree.leaves(found.outcome.params.model.model.net)[0]
    columns = [column.name for column in found.ready.gathered.columns]
    np.testing.assert_array_equal(
        weights.reshape(5, 8, 8)[:, 2, 3], net[:, columns.index("pixel_2_3")]
    )


def test_a_table_without_pixels_has_no_pictures(drawn):
    assert pictures.figures(trained("diabetes"), False) == {}
    assert drawn == {}
