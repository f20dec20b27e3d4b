"""The box of rows: eq. (1), absence, blocks, and rows on many devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from mlmath.linalg import bounding_box as module
from mlmath.linalg.bounding_box import bounding_box

RNG = np.random.default_rng(0)
X, PRESENT = RNG.normal(size=(60, 3)), RNG.uniform(size=60) < 0.7


@pytest.mark.parametrize("most", [2**18, 7 * 3 * 4])
def test_the_box_is_that_of_the_rows_that_are_present(most, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", most)
    rows = np.where(PRESENT[:, None], X, [[np.nan, np.inf, 1e300]])
    low, high = bounding_box(rows, PRESENT)
    np.testing.assert_array_equal(low, X[PRESENT].min(0))  # (1)
    np.testing.assert_array_equal(high, X[PRESENT].max(0))
    c = np.array([0.3, -9.0, 0.0])
    reach = np.maximum(high - c, c - low)
    np.testing.assert_allclose(reach, np.abs(X[PRESENT] - c).max(0))


def test_what_counts_and_is_no_number_shows_in_its_column():
    rows = np.array(X)
    rows[7, 1], rows[8, 2] = np.nan, np.inf
    low, high = bounding_box(rows, np.ones(60, bool))
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [False, True, False]
    assert high[2] == np.inf
    low, high = bounding_box(X, np.zeros(60, bool))
    assert (low == np.inf).all()
    assert (high == -np.inf).all()


def test_no_copy_of_the_rows_is_made_and_devices_keep_theirs():
    shape = jax.ShapeDtypeStruct((2**18, 16), jnp.float32)
    present = jax.ShapeDtypeStruct((2**18,), bool)
    memory = jax.jit(bounding_box).lower(shape, present).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 4 * 2**18 * 16 / 2
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
    rows, here = (jax.device_put(a, NamedSharding(mesh, P("rows"))) for a in (X[:56], PRESENT[:56]))
    program = jax.jit(bounding_box).lower(rows, here).compile().as_text()
    assert not any(word in program for word in ("all-gather", "all-to-all", "permute"))
    for ours, right in zip(
        bounding_box(rows, here), bounding_box(X[:56], PRESENT[:56]), strict=True
    ):
        np.testing.assert_array_equal(ours, right)
