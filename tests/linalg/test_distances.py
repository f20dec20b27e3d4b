"""Distances: their definitions, how right they are, and where they have no derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.distance
from jax.test_util import check_grads

from mlmath.linalg import distances

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 5)) + 1, RNG.normal(size=(9, 5))
FACTOR = np.tril(RNG.normal(size=(5, 5))) + 3 * np.eye(5)


def mahalanobis(x, Y):
    return distances.mahalanobis(x, Y, np.eye(Y.shape[1], dtype=Y.dtype))


def minkowski(p):
    return lambda x, Y: distances.minkowski(x, Y, p)


THROUGH_DIFFERENCES = {
    "euclidean": distances.euclidean,
    "manhattan": distances.manhattan,
    "minkowski 1.5": minkowski(1.5),
    "minkowski 3": minkowski(3.0),
    "chebyshev": distances.chebyshev,
    "mahalanobis": mahalanobis,
}
ALL = THROUGH_DIFFERENCES | {
    "squared_euclidean": distances.squared_euclidean,
    "cosine": distances.cosine,
}
every = pytest.mark.parametrize("distance", ALL.values(), ids=ALL)
through_differences = pytest.mark.parametrize(
    "distance", THROUGH_DIFFERENCES.values(), ids=THROUGH_DIFFERENCES
)

DEFINITIONS = [
    (distances.squared_euclidean, lambda x, y: sum((x - y) ** 2), "sqeuclidean", {}),
    (distances.euclidean, lambda x, y: sum((x - y) ** 2) ** 0.5, "euclidean", {}),
    (minkowski(2.5), lambda x, y: sum(abs(x - y) ** 2.5) ** (1 / 2.5), "minkowski", {"p": 2.5}),
    (distances.manhattan, lambda x, y: sum(abs(x - y)), "cityblock", {}),
    (distances.chebyshev, lambda x, y: max(abs(x - y)), "chebyshev", {}),
    (
        distances.cosine,
        lambda x, y: 1 - sum(x * y) / (sum(x * x) * sum(y * y)) ** 0.5,
        "cosine",
        {},
    ),
    (
        lambda x, Y: distances.mahalanobis(x, Y, FACTOR),
        lambda x, y: ((x - y) @ np.linalg.inv(FACTOR @ FACTOR.T) @ (x - y)) ** 0.5,
        "mahalanobis",
        {"VI": np.linalg.inv(FACTOR @ FACTOR.T)},
    ),
]


@pytest.mark.parametrize(
    ("distance", "definition", "name", "options"), DEFINITIONS, ids=[d[2] for d in DEFINITIONS]
)
def test_equations_1_to_6_and_scipy(distance, definition, name, options):
    found = jax.jit(jax.vmap(distance, (0, None)))(X, Y)
    naive = [[definition(x, y) for y in Y] for x in X]
    np.testing.assert_allclose(found, naive, rtol=1e-12)
    np.testing.assert_allclose(found, scipy.spatial.distance.cdist(X, Y, name, **options))
    np.testing.assert_allclose(distance(X[0], Y), found[0], rtol=1e-12)


def test_equation_1_is_an_inner_product():
    for x in X:
        columns = np.c_[-2 * Y, np.sum(Y**2, axis=1)]
        inner = columns @ np.r_[x, 1] + x @ x
        np.testing.assert_allclose(distances.squared_euclidean(x, Y), inner, rtol=1e-12)


@pytest.mark.parametrize("distance", [distances.squared_euclidean, distances.cosine])
def test_a_batch_is_one_product_of_matrices(distance):
    program = str(jax.make_jaxpr(jax.vmap(distance, (0, None)))(X, Y))
    assert "6,9,5]" not in program
    products = [line for line in program.splitlines() if "dot_general" in line]
    assert sum("6,9]" in line or "9,6]" in line for line in products) == 1
    assert program.count("HIGHEST") == 2 * len(products)


@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e5])
@pytest.mark.parametrize("d", [1, 3, 40])
def test_single_precision_keeps_the_bound_of_equation_8_far_from_the_origin(d, spread):
    points = (1e4 + spread * RNG.normal(size=(300, d))).astype(np.float32)
    found = jax.vmap(distances.squared_euclidean, (0, None))(points, points)
    exact = points.astype(float)
    right = scipy.spatial.distance.cdist(exact, exact, "sqeuclidean")
    radius = np.linalg.norm(exact - np.asarray(distances.center(points), float), axis=1)
    bound = (d + 6) * 2**-24 * 2 * (radius[:, None] + radius[None]) ** 2
    assert found.dtype == np.float32
    assert np.min(found) >= 0
    assert np.all(np.abs(found - right) <= bound)


def test_whole_numbers_have_whole_distances():
    points = RNG.integers(-300, 300, size=(80, 3)).astype(np.float32)
    found = jax.vmap(distances.squared_euclidean, (0, None))(points, points)
    right = scipy.spatial.distance.cdist(points.astype(int), points.astype(int), "sqeuclidean")
    np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("dtype", [np.float32, float])
def test_the_center_is_near_the_mean_on_a_grid(dtype):
    points = (100 + np.array([3.0, 0.01, 0]) * RNG.normal(size=(50, 3))).astype(dtype)
    middle = np.asarray(distances.center(points))
    assert middle.dtype == dtype
    extent = np.ptp(points, axis=0)
    assert np.all(np.abs(middle - points.mean(0)) <= extent / 8)
    grain = 2 ** np.floor(np.log2(extent[:2])) / 4
    np.testing.assert_array_equal(middle[:2] % grain, 0)
    assert middle[2] == 100
    holes = np.r_[points, [[np.nan, 0, 0], [1e9, 1e9, 1e9]]].astype(dtype)
    present = np.arange(52) < 51
    np.testing.assert_array_equal(distances.center(holes, present=present), middle)
    np.testing.assert_array_equal(jax.jacobian(distances.center)(jnp.asarray(points)), 0)


@through_differences
def test_single_precision_is_right_to_a_few_digits_of_itself(distance):
    x = (1e4 + RNG.normal(size=5)).astype(np.float32)
    near = x[None] + np.float32(1e-3) * RNG.integers(-9, 9, size=(50, 5)).astype(np.float32)
    found = distance(x, near)
    assert found.dtype == np.float32
    tolerance = 1e-3 if distance is mahalanobis else 1e-5
    np.testing.assert_allclose(found, distance(x.astype(float), near.astype(float)), tolerance)


def test_the_angle_is_right_to_the_stated_bound():
    a, b = (RNG.normal(size=(200, 30)).astype(np.float32) for _ in range(2))
    found = jax.vmap(distances.cosine, (0, None))(a, b)
    right = scipy.spatial.distance.cdist(a.astype(float), b.astype(float), "cosine")
    assert np.max(np.abs(found - right)) <= (30 + 8) * 2**-23
    same = jax.vmap(lambda a: distances.cosine(a, a[None])[0])(a)
    assert np.min(same) >= 0
    assert np.max(jax.vmap(lambda a: distances.cosine(-a, a[None])[0])(a)) <= 2


@every
def test_a_missing_number_shows_in_its_row_alone(distance):
    holes = Y.copy()
    holes[3, 2] = np.nan
    found, whole = np.asarray(distance(X[0], holes)), np.asarray(distance(X[0], Y))
    assert np.isnan(found[3])
    np.testing.assert_allclose(np.delete(found, 3), np.delete(whole, 3), rtol=1e-12)
    assert np.isnan(distance(holes[3], Y)).all()


@through_differences
def test_the_derivative_at_the_point_itself_is_zero(distance):
    rows = np.stack([X[0], X[1]])
    for argument in (0, 1):
        slope = jax.jacobian(distance, argument)(X[0], rows)
        np.testing.assert_array_equal(slope[0], 0)
        assert np.isfinite(slope).all()
        assert np.any(slope[1] != 0)
    np.testing.assert_array_equal(distance(X[0], rows)[0], 0)


def test_the_squared_distance_keeps_both_derivatives_where_rounding_is_clamped():
    points = jnp.asarray(1e4 + RNG.normal(size=(50, 3)).astype(np.float32))
    for x in points[:5]:
        slope = jax.jacobian(distances.squared_euclidean)(x, points)
        np.testing.assert_allclose(slope, 2 * (x[None] - points), atol=2e-3)
        curvature = jax.hessian(lambda x: distances.squared_euclidean(x, points).sum())(x)
        np.testing.assert_allclose(curvature, 100 * np.eye(3), atol=1e-2)


@every
def test_derivatives_are_those_of_finite_differences(distance):
    check_grads(distance, (jnp.asarray(X[0]), jnp.asarray(Y)), order=2, atol=1e-4, rtol=1e-4)


def test_the_order_and_the_factor_have_derivatives():
    check_grads(lambda p: distances.minkowski(X[0], Y, p), (2.5,), order=2, rtol=1e-4)
    check_grads(
        lambda f: distances.mahalanobis(X[0], Y, f), (jnp.asarray(FACTOR),), order=2, rtol=1e-4
    )


def test_minkowski_reduces_to_its_neighbours():
    x = X[0]
    orders = jnp.array([1.0, 2.0, 4000.0, np.inf])
    by_order = jax.jit(jax.vmap(distances.minkowski, (None, None, 0)))(x, Y, orders)
    np.testing.assert_allclose(by_order[0], distances.manhattan(x, Y))
    np.testing.assert_allclose(by_order[1], distances.euclidean(x, Y))
    np.testing.assert_allclose(by_order[2], distances.chebyshev(x, Y), rtol=1e-3)
    np.testing.assert_allclose(by_order[3], distances.chebyshev(x, Y))
    np.testing.assert_allclose(distances.minkowski(x, Y, 2), by_order[1])


@pytest.mark.parametrize("unit", [1e-30, 1e30])
@pytest.mark.parametrize("name", ["euclidean", "minkowski 3", "cosine", "mahalanobis"])
def test_the_unit_does_not_matter(name, unit):
    x, rows = (np.float32(unit) * a.astype(np.float32) for a in (X[0], Y))
    found = np.asarray(ALL[name](x, rows)) / (1 if name == "cosine" else np.float32(unit))
    np.testing.assert_allclose(found, ALL[name](X[0], Y), rtol=1e-4)


@pytest.mark.parametrize("unit", [1e-25, 1e-20, 1, 1e20, 1e25])
def test_derivatives_of_the_euclidean_distance_have_units_too(unit):
    x, rows = (np.float32(unit) * a.astype(np.float32) for a in (X[0], Y))
    slope = jax.jacobian(distances.euclidean)
    np.testing.assert_allclose(slope(x, rows), slope(X[0], Y), rtol=1e-4, atol=1e-6)
    curvature = jax.jacobian(slope)(x, rows) * np.float32(unit)
    right = jax.jacobian(slope)(X[0], Y)
    np.testing.assert_allclose(curvature, right, rtol=1e-3, atol=1e-5)


def test_squares_that_leave_the_dtype_do_not_disturb_others():
    """Twins, near and far points, and an unknown one, side by side and many at once."""
    x = np.float32([[1, 2, 3], [1e-25, 0, 0], [3e25, 0, 0], [np.nan, 0, 0], [5, 5, 5]])
    rows = np.float32([[1, 2, 3], [0, 2e-25, 0], [0, 0, -4e25], [np.inf, 0, 0]])
    right = np.sqrt(((x[:, None].astype(float) - rows[None]) ** 2).sum(axis=2))
    found = jax.vmap(distances.euclidean, (0, None))(x, rows)
    np.testing.assert_allclose(found, right, rtol=1e-6)
    for one, all_at_once in zip(x, found, strict=True):
        np.testing.assert_array_equal(distances.euclidean(one, rows), all_at_once)


@pytest.mark.parametrize("d", [64, 65, 130])
def test_many_coordinates_are_added_in_turn(d):
    x, rows = RNG.normal(size=d), RNG.normal(size=(4, d))
    found = distances.euclidean(x, rows)
    np.testing.assert_allclose(found, np.linalg.norm(x - rows, axis=1), rtol=1e-14)


def test_differences_of_all_pairs_are_never_in_memory():
    many = (jax.ShapeDtypeStruct((n, 48), jnp.float32) for n in (20_000, 40))
    program = jax.jit(lambda X, Y: jax.vmap(distances.euclidean, (0, None))(X, Y))
    memory = program.lower(*many).compile().memory_analysis()
    assert memory.temp_size_in_bytes < memory.output_size_in_bytes


def test_mahalanobis_reads_the_lower_triangle_and_whitens():
    found = distances.mahalanobis(X[0], Y, FACTOR)
    np.testing.assert_array_equal(
        distances.mahalanobis(X[0], Y, FACTOR + np.triu(np.full((5, 5), np.nan), 1)), found
    )
    moved = distances.mahalanobis(FACTOR @ X[0], Y @ FACTOR.T, FACTOR)
    np.testing.assert_allclose(moved, distances.euclidean(X[0], Y))
    precision = np.linalg.inv(FACTOR @ FACTOR.T)
    again = distances.mahalanobis(X[0], Y, jnp.linalg.cholesky(jnp.linalg.inv(precision)))
    np.testing.assert_allclose(again, found)


@pytest.mark.parametrize("kind", [int, bool, np.float32])
def test_equation_7_for_labels_of_any_kind(kind):
    labels = RNG.integers(0, 2 if kind is bool else 4, size=(7, 6)).astype(kind)
    found = distances.hamming(labels[0], labels)
    np.testing.assert_allclose(
        found, [np.mean([a != b for a, b in zip(labels[0], y, strict=True)]) for y in labels],
        rtol=1e-6,
    )  # fmt: skip
    assert found[0] == 0


def test_nan_is_no_label():
    labels = np.array([[0.0, 1.0], [np.nan, 1.0], [1.0, 1.0]])
    np.testing.assert_array_equal(distances.hamming(labels[0], labels), [0, np.nan, 0.5])
    assert np.isnan(distances.hamming(labels[1], labels)).all()


def test_the_zero_vector_has_no_angle():
    rows = np.array([[0.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(distances.cosine(rows[1], rows), [np.nan, 0], atol=1e-15)
    assert np.isnan(distances.cosine(rows[0], rows)).all()


@every
def test_one_row_and_twins(distance):
    one = distance(X[0], Y[:1])
    assert one.shape == (1,)
    twins = distance(X[0], np.repeat(Y[:1], 9, axis=0))
    np.testing.assert_array_equal(twins, np.repeat(twins[:1], 9))
    np.testing.assert_allclose(twins[:1], one, rtol=1e-12)


@every
def test_infinity_is_far_or_undefined_and_stays_in_its_row(distance):
    rows = Y.copy()
    rows[2] = np.inf
    found = np.asarray(distance(X[0], rows))
    assert not np.isfinite(found[2])
    assert np.isfinite(np.delete(found, 2)).all()


@pytest.mark.parametrize("shape", [(0, 5), (3, 0)])
@pytest.mark.parametrize("distance", [*ALL.values(), distances.hamming])
def test_nothing_to_measure_is_refused(distance, shape):
    with pytest.raises(ValueError, match=r"Y must have at least one row and one column, got sha"):
        distance(np.ones(shape[1]), np.ones(shape))


@every
def test_lengths_that_differ_are_refused(distance):
    with pytest.raises(TypeError, match=r"Y must be a float array of shape \(m, d\)"):
        distance(np.ones(4), Y)


@pytest.mark.parametrize("unit", [1e-30, 1e-18, 1e18, 1e20, 3e37])
def test_squares_that_leave_single_precision_are_endless_or_0_and_never_nan(unit):
    points = np.float32(unit) * RNG.normal(size=(20, 3)).astype(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        right = ((points[:1].astype(float) - points) ** 2).sum(1).astype(np.float32)
    found = distances.squared_euclidean(points[0], points)
    size = right.max(where=right < np.inf, initial=0)
    np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-5 * size)
    far = distances.squared_euclidean(np.float32([1e30, 0, 0]), points)
    assert not np.isnan(far).any()
    middle = np.asarray(distances.center(points))
    inside = distances.squared_euclidean(middle, points)
    with np.errstate(over="ignore", under="ignore"):
        right = ((middle.astype(float) - points) ** 2).sum(1).astype(np.float32)
    np.testing.assert_allclose(inside, right, rtol=1e-4)
