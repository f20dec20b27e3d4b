"""Nearest rows: NumPy's stable order, absence, memory, derivatives, and rows on many devices."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.test_util import check_grads
from sklearn.neighbors import NearestNeighbors

from mlmath.linalg import distances, nearest

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 6)), RNG.normal(size=(300, 6))


def squares(X, Y):
    return np.array([[sum((x - y) ** 2) for y in Y] for x in X])


def agrees(X, Y, k, rtol=1e-12):
    """Both functions are NumPy's stable ``argsort`` of eq. (1)."""
    right = squares(np.asarray(X, float), np.asarray(Y, float))
    order = np.argsort(right, axis=1, kind="stable")[:, :k]
    found = nearest.smallest(X, Y, k)
    np.testing.assert_array_equal(found.indices, order)
    ordered = np.take_along_axis(right, order, axis=1)
    np.testing.assert_allclose(found.squared_distances, ordered, rtol=rtol)
    one = nearest.nearest(X, Y)
    np.testing.assert_array_equal(one.indices, order[:, 0])
    np.testing.assert_allclose(one.squared_distances, ordered[:, 0], rtol=rtol)


@pytest.fixture
def tiny_blocks(monkeypatch):
    """Many blocks of X and of Y, and groups of groups, where there are few rows."""
    sizes = {"_BLOCK": 900, "_SMALL_BLOCK": 900, "_WIDTH": 50, "_SMALL_WIDTH": 7, "_GROUP": 2}
    for name, size in sizes.items():
        monkeypatch.setattr(nearest, name, size)
    for function in (nearest.nearest, nearest.smallest):
        function.clear_cache()
    yield
    for function in (nearest.nearest, nearest.smallest):
        function.clear_cache()


@pytest.fixture(params=[1, 8])
def devices(request, monkeypatch):
    """One device takes ``top_k``, several a sort."""
    monkeypatch.setattr(jax, "device_count", lambda: request.param)
    for function in (nearest.nearest, nearest.smallest):
        function.clear_cache()
    yield
    for function in (nearest.nearest, nearest.smallest):
        function.clear_cache()


@pytest.mark.usefixtures("devices")
@pytest.mark.parametrize("k", [1, 2, 10, 299, 300])
def test_the_order_is_that_of_equation_1(k):
    agrees(X, Y, k)


@pytest.mark.parametrize("k", [1, 7, 40])
@pytest.mark.parametrize("n", [1, 40, 37, 16])
@pytest.mark.usefixtures("tiny_blocks")
def test_blocks_do_not_show(n, k):
    agrees(X[:n], Y, k)


def whole_numbers(n, m, d=2):
    return (RNG.integers(0, 3, size=(size, d)).astype(np.float32) for size in (n, m))


@pytest.mark.usefixtures("devices")
@pytest.mark.parametrize("k", [1, 5, 60])
def test_of_equal_distances_the_lower_index_comes_first(k):
    agrees(*whole_numbers(30, 500), k)


@pytest.mark.parametrize("k", [1, 5, 60])
@pytest.mark.usefixtures("tiny_blocks")
def test_of_equal_distances_the_lower_index_comes_first_across_blocks(k):
    agrees(*whole_numbers(30, 500), k)


def test_of_equal_distances_the_lower_index_comes_first_in_whichever_group_it_is():
    """Groups whose minima are the least lie last, and hold many that are as far as the first."""
    points = np.ones((512, 1), np.float32)
    points[[480, 496]] = 0
    for k in (3, 9, 20):
        found = nearest.smallest(np.zeros((1, 1), np.float32), points, k)
        np.testing.assert_array_equal(found.indices[0], [480, 496, *range(k - 2)])


@pytest.mark.parametrize("k", [3, 10])
def test_twins_of_numbers_that_round_come_in_order(k):
    twins = RNG.normal(size=(30, 7)).astype(np.float32)[RNG.integers(0, 30, 700)]
    agrees(twins[:50], twins, k, rtol=1e-5)


def test_mirrored_points_come_in_order_though_their_products_round():
    half = RNG.normal(size=(40, 7)).astype(np.float32)
    far = np.full((20, 7), 30, np.float32)
    points = RNG.permutation(np.concatenate([half, -half, far]))
    found = nearest.smallest(0 * far[:1], points, 20)
    order = np.argsort(np.sum(points.astype(float) ** 2, axis=1), kind="stable")
    np.testing.assert_array_equal(found.indices[0], order[:20])


def test_equation_2_differs_from_equation_1_by_a_number_of_the_query():
    present = jnp.ones(300, bool)
    center = np.asarray(distances.center(Y))
    unit = 2.0 ** np.ceil(np.log2(np.abs(Y - center).max()))
    right = squares(X, Y) - np.sum((X - center) ** 2, axis=1, keepdims=True)
    frame = jnp.asarray(center), jnp.asarray(1 / unit)
    columns = nearest._columns(jnp.asarray(Y), present, frame, 0, 0, 304)
    ours = unit**2 * nearest._query(X, frame) @ columns[:300].T
    np.testing.assert_allclose(ours, right, atol=1e-11)
    np.testing.assert_array_equal(columns[300:, -1], np.inf)
    z, Z = X - center, Y - center
    inner = np.c_[z, np.ones(40)] @ np.c_[-2 * Z, np.sum(Z**2, axis=1)].T
    np.testing.assert_allclose(inner, right, atol=1e-11)


@pytest.mark.parametrize("offset", [0, 1e4])
def test_single_precision_is_as_good_as_the_neighbours_of_scikit_learn_in_double(offset):
    rows, points = ((offset + a).astype(np.float32) for a in (X, Y))
    peer = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(points.astype(float))
    right, order = peer.kneighbors(rows.astype(float))
    found = nearest.smallest(rows, points, 5)
    assert found.squared_distances.dtype == np.float32
    np.testing.assert_array_equal(found.indices, order)
    np.testing.assert_allclose(np.sqrt(found.squared_distances), right, rtol=1e-5)


def test_an_answer_is_never_worse_than_equation_3_allows():
    clusters = np.repeat(1e3 * RNG.normal(size=(20, 6)), 30, axis=0)
    points = (clusters + RNG.normal(size=(600, 6))).astype(np.float32)
    right = squares(points.astype(float), points.astype(float))
    radius = np.linalg.norm(points - points.astype(float).mean(0), axis=1)
    bound = 2 * (6 + 6) * 2**-23 * (radius[:, None] + radius[None]) ** 2
    for k in (1, 4):
        found = nearest.smallest(points, points, k)
        chosen = np.take_along_axis(right, np.asarray(found.indices), axis=1)
        np.testing.assert_allclose(found.squared_distances, chosen, rtol=1e-5)
        worst = np.sort(right, axis=1)[:, :k] + bound.max(1, keepdims=True)
        assert np.all(chosen <= worst)
    np.testing.assert_array_equal(found.squared_distances[:, 0], 0)
    np.testing.assert_array_equal(found.indices[:, 0], np.arange(600))


@pytest.mark.parametrize("unit", [1e-25, 1e25])
def test_the_unit_does_not_change_the_order(unit):
    rows, points = (np.float32(unit) * a.astype(np.float32) for a in (X, Y))
    order = np.argsort(squares(X, Y), axis=1)
    np.testing.assert_array_equal(nearest.nearest(rows, points).indices, order[:, 0])
    np.testing.assert_array_equal(nearest.smallest(rows, points, 7).indices, order[:, :7])


def test_a_query_far_beyond_the_rows_still_has_its_distance():
    points = np.float32([[1e-25, 0], [-1e-25, 0], [0, 2e-25]])
    found = nearest.smallest(np.float32([[3, 4]]), points, 2)
    np.testing.assert_allclose(found.squared_distances, [[25, 25]])
    np.testing.assert_array_equal(found.indices, [[0, 1]])


def test_differences_of_the_candidates_are_made_a_block_at_a_time():
    many = (jax.ShapeDtypeStruct((n, 500), jnp.float32) for n in (4000, 104))
    program = jax.jit(lambda X, Y: nearest.smallest(X, Y, 100))
    memory = program.lower(*many).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 12 * nearest._BLOCK


def test_a_query_far_outside_gets_an_answer_that_is_present():
    rows = np.full((2, 6), 3e38, np.float32) * np.array([[1], [-1]], np.float32)
    found = nearest.smallest(rows, (1e-3 * Y).astype(np.float32), 2)
    assert np.all(np.asarray(found.indices) < 300)
    assert np.all(np.asarray(nearest.nearest(rows, Y.astype(np.float32)).indices) < 300)


@pytest.mark.parametrize("hole", [np.nan, np.inf, 0.0, 1e30])
@pytest.mark.parametrize("k", [1, 4, 150])
def test_a_row_of_weight_zero_is_absent_whatever_it_holds(hole, k):
    weight = np.ones(300)
    weight[::2] = 0
    points = Y.copy()
    points[::2] = hole
    found = nearest.smallest(X, points, k, row_weight=weight)
    right = nearest.smallest(X, Y[1::2], k)
    np.testing.assert_array_equal(found.indices, 2 * right.indices + 1)
    np.testing.assert_allclose(found.squared_distances, right.squared_distances, rtol=1e-12)
    one = nearest.nearest(X, points, row_weight=weight)
    np.testing.assert_array_equal(one.indices, found.indices[:, 0])


@pytest.mark.parametrize("blocks", ["whole", "tiny_blocks"])
def test_the_surplus_is_infinitely_far_with_the_index_past_the_end(blocks, request):
    if blocks != "whole":
        request.getfixturevalue(blocks)
    weight = np.zeros(300)
    weight[[7, 120]] = [0.5, 2]
    found = nearest.smallest(X, Y, 4, row_weight=weight)
    assert set(np.unique(found.indices[:, :2])) == {7, 120}
    np.testing.assert_array_equal(found.indices[:, 2:], 300)
    np.testing.assert_array_equal(found.squared_distances[:, 2:], np.inf)
    none = nearest.nearest(X, Y, row_weight=0 * weight)
    np.testing.assert_array_equal(none.indices, 300)
    np.testing.assert_array_equal(none.squared_distances, np.inf)
    votes = jnp.zeros(300).at[found.indices].add(1)
    assert votes.sum() == 80


def test_what_is_not_finite_comes_after_all_that_is_and_before_the_surplus():
    points = Y[:8].copy()
    points[2] = np.nan
    points[5, 3] = np.inf
    weight = np.ones(8)
    weight[0] = 0
    found = nearest.smallest(X, points, 8, row_weight=weight)
    np.testing.assert_array_equal(found.indices[:, 5:], np.tile([2, 5, 8], (40, 1)))
    np.testing.assert_array_equal(
        found.squared_distances[:, 5:], np.tile([np.nan, np.inf, np.inf], (40, 1))
    )
    assert np.isfinite(found.squared_distances[:, :5]).all()
    assert not np.isin(nearest.nearest(X, points).indices, [2, 5]).any()


def test_a_query_with_a_missing_number_shows_and_no_other():
    rows = X.copy()
    rows[3, 1] = np.nan
    for function in (nearest.nearest, functools.partial(nearest.smallest, k=3)):
        found, whole = (np.asarray(function(a, Y).squared_distances) for a in (rows, X))
        assert np.isnan(found[3]).all()
        np.testing.assert_array_equal(np.delete(found, 3, 0), np.delete(whole, 3, 0))


@pytest.mark.parametrize("function", [nearest.nearest, functools.partial(nearest.smallest, k=4)])
def test_distances_have_derivatives_in_both_arguments(function):
    def finite(X, Y):
        found = function(X, Y, row_weight=weight)
        return jnp.where(found.indices < 7, found.squared_distances, 0)

    weight = jnp.array([1.0, 0, 1, 0, 1, 0, 0])
    args = jnp.asarray(X[:3]), jnp.asarray(Y[:7])
    check_grads(finite, args, order=2, rtol=1e-4, atol=1e-4)
    slope = jax.grad(lambda Y: finite(args[0], Y).sum())(args[1])
    np.testing.assert_array_equal(slope[weight == 0], 0)


def test_the_derivative_at_the_point_itself_is_zero_and_surplus_has_none():
    points = Y[:2].copy()
    points[1] = np.nan
    weight = np.array([1.0, 0.0])

    def total(X, Y):
        found = nearest.smallest(X, Y, 2, row_weight=weight).squared_distances
        return jnp.sum(jnp.where(jnp.isfinite(found), found, 0))

    for argument in (0, 1):
        slope = jax.grad(total, argument)(points[:1], points)
        np.testing.assert_array_equal(slope, 0)


def test_one_data_set_or_many():
    many = np.stack([X, X[::-1]])
    found = jax.jit(jax.vmap(lambda X: nearest.smallest(X, Y, 3)))(many)
    right = nearest.smallest(X, Y, 3)
    np.testing.assert_array_equal(found.indices[1], right.indices[::-1])
    np.testing.assert_allclose(found.squared_distances[0], right.squared_distances)
    weights = jnp.asarray(RNG.integers(0, 2, size=(3, 300)), float)
    masked = jax.vmap(lambda w: nearest.nearest(X, Y, row_weight=w))(weights)
    for lane in range(3):
        alone = nearest.nearest(X, Y, row_weight=weights[lane])
        np.testing.assert_array_equal(masked.indices[lane], alone.indices)


@pytest.mark.parametrize("d", [1, 6])
def test_one_row(d):
    agrees(X[:1, :d], Y[:1, :d], 1)
    agrees(X[:, :d], Y[:1, :d], 1)
    agrees(np.ones((3, d)), np.ones((4, d)), 3)


N, M = 6720, 30_000  # n × m are 806 MB


@pytest.mark.parametrize(
    ("function", "most"),
    [(nearest.nearest, 2**20), (functools.partial(nearest.smallest, k=10), 2**22)],
)
def test_memory_is_bounded_whatever_the_number_of_rows(function, most):
    shapes = (jax.ShapeDtypeStruct((size, 4), np.float32) for size in (N, M))
    program = jax.jit(function).lower(*shapes).compile()
    assert program.memory_analysis().temp_size_in_bytes < 4 * (3 * most + 4 * 14 * (N + M))
    sizes = re.findall(r"(?:f32|pred|s32)\[([\d,]+)\]", program.as_text())
    assert max(np.prod([int(a) for a in s.split(",")]) for s in sizes) < 1.3 * most


@pytest.mark.parametrize(("m", "d"), [(1_100_000, 8), (70_000, 128), (16_384, 512)])
def test_of_many_points_less_than_once_again_is_needed(m, d):
    shapes = (jax.ShapeDtypeStruct((size, d), np.float32) for size in (1000, m))
    program = jax.jit(functools.partial(nearest.smallest, k=10)).lower(*shapes).compile()
    assert program.memory_analysis().temp_size_in_bytes < 4 * m * d


@pytest.mark.parametrize("parts", [8, 4])
@pytest.mark.parametrize("function", [nearest.nearest, functools.partial(nearest.smallest, k=5)])
@pytest.mark.usefixtures("tiny_blocks")
def test_sharded_rows_stay_where_they_are(function, parts):
    rows = RNG.normal(size=(8 * 41, 6))
    some = jax.devices()[:parts]
    mesh = jax.make_mesh((parts,), ("rows",), axis_types=(AxisType.Auto,), devices=some)
    split = jax.device_put(rows, NamedSharding(mesh, PartitionSpec("rows")))
    points = jax.device_put(Y, NamedSharding(mesh, PartitionSpec()))
    program = jax.jit(function).lower(split, points).compile()
    text = program.as_text()
    assert "while" in text
    for collective in ("all-gather", "all-to-all", "collective-permute"):
        assert collective not in text
    found = program(split, points)
    assert not found.indices.sharding.is_fully_replicated
    np.testing.assert_array_equal(found.indices, function(rows, Y).indices)


@pytest.mark.parametrize("k", [0, -1, 301])
def test_a_number_of_neighbours_that_is_not_there_is_refused(k):
    with pytest.raises(ValueError, match=f"k must be from 1 to the 300 rows of Y, got {k}"):
        nearest.smallest(X, Y, k)


@pytest.mark.parametrize("function", [nearest.nearest, functools.partial(nearest.smallest, k=1)])
def test_nothing_to_compare_is_refused(function):
    with pytest.raises(ValueError, match=r"Y must have at least one row and one column, got sh"):
        function(X, Y[:0])
    with pytest.raises(ValueError, match=r"X must have at least one row and one column, got sh"):
        function(X[:0], Y)
    with pytest.raises(ValueError, match=r"X must have at least one row and one column, got sh"):
        function(X[:, :0], Y[:, :0])
    with pytest.raises(TypeError, match=r"Y must be a float array of shape \(m, d\)"):
        function(X, Y[:, 1:])
