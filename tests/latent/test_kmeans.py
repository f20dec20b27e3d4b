"""k-means: eq. (1)–(4), empty clusters, invariances, bad input, and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans

import mlmath
from mlmath.data import datasets
from mlmath.latent import kmeans


@pytest.fixture(scope="module")
def iris():
    X, _ = datasets.arrays("iris")
    return X, X[[3, 60, 61, 130]], np.random.default_rng(0).uniform(0.5, 2.0, len(X))


def lloyd(X, s, C, steps):
    """Centroids and inertia after each step, in naive NumPy."""
    path = []
    for _ in range(steps + 1):
        squares = ((X[:, None] - C[None]) ** 2).sum(2)
        labels = squares.argmin(1)
        path.append((C, s @ squares.min(1), labels))
        C = np.stack(
            [s[labels == j] @ X[labels == j] / s[labels == j].sum() for j in range(len(C))]
        )
    return path


def test_every_step_is_lloyds_and_never_raises_the_inertia(iris):
    X, C, s = iris
    path = lloyd(X, s, C, 8)
    values = []
    for steps, (centroids, inertia, _) in enumerate(path):
        fitted = kmeans.fit(C, X, sample_weight=s, max_steps=steps)
        np.testing.assert_allclose(fitted.params.centroids, centroids, rtol=1e-11)
        np.testing.assert_allclose(fitted.certificate.objective, inertia, rtol=1e-12)
        values.append(float(fitted.certificate.objective))
    assert (np.diff(values) <= 1e-13 * values[0]).all()
    assert values[-1] < 0.8 * values[0]


def test_the_gap_is_its_definition(iris):
    X, C, s = iris
    mean = s @ X / s.sum()
    null = s @ ((X - mean) ** 2).sum(1)  # (3)
    path = lloyd(X, s, C, 5)
    for steps in (0, 2, 4):
        (now, _, labels), (after, _, _) = path[steps : steps + 2]
        totals = np.array([s[labels == j].sum() for j in range(len(C))])
        gain = totals @ ((now - after) ** 2).sum(1)  # (2)
        fitted = kmeans.fit(C, X, sample_weight=s, max_steps=steps)
        np.testing.assert_allclose(fitted.certificate.gap, gain / null, rtol=1e-9)


@pytest.mark.parametrize("name", ["iris", "old_faithful", "wine"])
@pytest.mark.parametrize("weighted", [0.0, 1.0])
def test_matches_scikit_learn_from_the_same_centroids(name, weighted):
    X, _ = datasets.arrays(name)
    s = 1 + weighted * np.random.default_rng(1).uniform(size=len(X))
    C = X[:: len(X) // 4][:4]
    peer = KMeans(4, init=C, n_init=1, tol=0, algorithm="lloyd").fit(X, sample_weight=s)
    fitted = kmeans.fit(C, X, sample_weight=s)
    assert bool(fitted.certificate.converged)
    np.testing.assert_allclose(fitted.params.centroids, peer.cluster_centers_, rtol=1e-9)
    np.testing.assert_allclose(fitted.certificate.objective, peer.inertia_, rtol=1e-10)
    labels = mlmath.rows(kmeans.predict)(fitted.params, X)
    np.testing.assert_array_equal(labels, peer.labels_)


def test_one_cluster_is_the_mean_and_each_row_its_own_is_exact(iris):
    X, _, s = iris
    one = kmeans.fit(X[:1], X, sample_weight=s)
    np.testing.assert_allclose(one.params.centroids[0], s @ X / s.sum(), rtol=1e-12)
    assert one.certificate.steps == 1
    few = X[::10]
    each = kmeans.fit(few, few)
    np.testing.assert_allclose(each.params.centroids, few, rtol=1e-12)
    np.testing.assert_allclose(each.certificate.objective, 0, atol=1e-25)
    assert bool(each.certificate.converged)


def test_moving_turning_and_reordering_the_rows_does_so_to_the_centroids(iris):
    X, C, s = iris
    reference = kmeans.fit(C, X, sample_weight=s).params.centroids
    rng = np.random.default_rng(3)
    order = rng.permutation(len(X))
    shuffled = kmeans.fit(C, X[order], sample_weight=s[order]).params.centroids
    np.testing.assert_allclose(shuffled, reference, rtol=1e-10)
    swapped = kmeans.fit(C[[2, 0, 3, 1]], X, sample_weight=s).params.centroids
    np.testing.assert_allclose(swapped, reference[np.array([2, 0, 3, 1])], rtol=1e-10)
    far = kmeans.fit(C + 1000.0, X + 1000.0, sample_weight=s).params.centroids
    np.testing.assert_allclose(far - 1000, reference, rtol=1e-9)
    Q = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    turned = kmeans.fit(C @ Q, X @ Q, sample_weight=s).params.centroids
    np.testing.assert_allclose(turned, reference @ Q, rtol=1e-9, atol=1e-10)
    stretched = kmeans.fit(7 * C, 7 * X, sample_weight=s).params.centroids
    np.testing.assert_allclose(stretched, 7 * reference, rtol=1e-10)


def test_empty_clusters_take_the_farthest_rows(iris):
    X, C, s = iris
    away = np.concatenate([C[:2], np.full((2, 4), 99.0)])
    means = lloyd(X, s, C[:2], 1)[1][0]
    taken = []
    for _ in range(2):
        squares = ((X[:, None] - np.concatenate([means, X[taken]])[None]) ** 2).sum(2).min(1)
        taken.append(squares.argmax())
    assert len(set(taken)) == 2
    once = kmeans.fit(away, X, sample_weight=s, max_steps=1)
    np.testing.assert_allclose(once.params.centroids, np.concatenate([means, X[taken]]), rtol=1e-11)
    assert not once.certificate.converged
    ended = kmeans.fit(away, X, sample_weight=s)
    assert bool(ended.certificate.converged)
    labels = np.asarray(mlmath.rows(kmeans.predict)(ended.params, X))
    assert set(labels) == {0, 1, 2, 3}


def test_the_gap_counts_what_an_empty_cluster_will_gain():
    X = np.array([[0.0], [1.0], [2.0], [7.0]])
    start = np.array([[2.5], [50.0]])  # the mean of all, and no row
    now, then = (kmeans.fit(start, X, max_steps=m).certificate for m in (0, 1))
    assert not now.converged
    np.testing.assert_allclose(now.gap, 4.5**2 / 29.0, rtol=1e-12)  # 7 is 4.5 away
    assert now.gap * 29.0 <= now.objective - then.objective + 1e-12


def test_fewer_distinct_rows_than_clusters_leave_nothing(iris):
    X = np.repeat(iris[0][[0, 60, 120]], [4, 2, 3], axis=0)
    for start in (X[:5], X[:5] + 0.3, np.zeros((5, 4))):
        fitted = kmeans.fit(start, X)
        assert bool(fitted.certificate.converged)
        np.testing.assert_allclose(fitted.certificate.objective, 0, atol=1e-25)
        apart = ((np.asarray(fitted.params.centroids)[:, None] - X[None]) ** 2).sum(2)
        np.testing.assert_allclose(apart.min(1), 0, atol=1e-25)
        slope = jax.grad(lambda X, C: kmeans.fit(C, X).params.centroids.sum())(X, start)
        assert np.isfinite(slope).all()


def test_centroids_on_taken_rows_have_the_rows_derivatives(iris):
    X, C, s = iris
    away = np.concatenate([C[:2], np.full((2, 4), 99.0)])
    jacobian = jax.jacobian(
        lambda X: kmeans.fit(away, X, sample_weight=s, max_steps=1).params.centroids[2]
    )(X)
    found = kmeans.fit(away, X, sample_weight=s, max_steps=1).params.centroids[2]
    row = int((np.asarray(found) == X).all(1).argmax())
    expected = np.zeros((4, len(X), 4))
    expected[range(4), row, range(4)] = 1
    np.testing.assert_allclose(jacobian, expected, atol=1e-12)


def test_the_derivatives_are_those_of_means(iris):
    X, C, s = iris
    fitted = kmeans.fit(C, X, sample_weight=s)
    labels = np.asarray(mlmath.rows(kmeans.predict)(fitted.params, X))
    in_weight = jax.jacobian(lambda s: kmeans.fit(C, X, sample_weight=s).params.centroids)(s)
    in_start = jax.jacobian(lambda C: kmeans.fit(C, X, sample_weight=s).params.centroids)(C)
    assert not np.asarray(in_start).any()
    for j, c in enumerate(np.asarray(fitted.params.centroids)):
        own = labels == j
        expected = np.where(own[:, None], (X - c) / s[own].sum(), 0).T  # of (4)
        np.testing.assert_allclose(in_weight[j], expected, rtol=1e-9, atol=1e-12)
    at_once = jax.jacobian(lambda C: kmeans.fit(C, X, max_steps=0).params.centroids)(C)
    np.testing.assert_array_equal(at_once.reshape(16, 16), np.eye(16))


def test_restarts_are_a_vmap(iris):
    X, _, _ = iris
    keys = jax.random.split(jax.random.key(0), 5)
    starts = jax.vmap(lambda key: kmeans.init_random(key, X, k=3))(keys)
    many = jax.vmap(lambda C: kmeans.fit(C, X))(starts)
    for lane in range(5):
        alone = kmeans.fit(starts[lane], X)
        np.testing.assert_allclose(many.params.centroids[lane], alone.params.centroids, rtol=1e-10)
        assert many.certificate.steps[lane] == alone.certificate.steps


def test_constant_columns_are_ignored(iris):
    X, C, s = iris
    reference = kmeans.fit(C, X, sample_weight=s)
    wide = np.column_stack([X, np.full(len(X), 0.1)])
    fitted = kmeans.fit(np.column_stack([C, np.full(4, 0.1)]), wide, sample_weight=s)
    np.testing.assert_allclose(fitted.params.centroids[:, :4], reference.params.centroids)
    np.testing.assert_allclose(fitted.params.centroids[:, 4], 0.1, rtol=1e-12)
    flat = kmeans.fit(np.full((2, 3), 0.1), np.full((9, 3), 0.1))
    assert bool(flat.certificate.converged)
    assert flat.certificate.objective == 0


def test_a_large_mean_in_float32_costs_no_assignment():
    rng = np.random.default_rng(5)
    X = np.repeat([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5]], 50, axis=0) + 1000
    X = (X + 0.05 * rng.normal(size=X.shape)).astype(np.float32)
    single = kmeans.fit(X[[0, 50, 100]], X)
    double = kmeans.fit(X[[0, 50, 100]].astype(float), X.astype(float))
    assert single.params.centroids.dtype == jnp.float32
    np.testing.assert_allclose(single.params.centroids, double.params.centroids, atol=1e-4)
    np.testing.assert_allclose(
        single.certificate.objective, double.certificate.objective, rtol=1e-3
    )


@pytest.mark.parametrize("factor", [1e-30, 1e-18, 1e18])
def test_units_whose_squares_leave_float32_find_the_same_clusters(iris, factor):
    X, C, s = (a.astype(np.float32) for a in iris)
    reference = kmeans.fit(C, X, sample_weight=s).params.centroids
    f = np.float32(factor)
    fitted = kmeans.fit(C * f, X * f, sample_weight=s)
    np.testing.assert_allclose(fitted.params.centroids, reference * f, rtol=1e-5)
    assert bool(fitted.certificate.converged)


def test_misuse_is_refused(iris):
    X, C, _ = iris
    with pytest.raises(ValueError, match="from 1 to 3 centroids, as many as rows; got 4"):
        kmeans.fit(C, X[:3])
    with pytest.raises(ValueError, match="from 1 to 150 centroids, as many as rows; got 0"):
        kmeans.fit(C[:0], X)
    with pytest.raises(ValueError, match="at least one row"):
        kmeans.fit(C, X[:0])
    with pytest.raises(ValueError, match="at least one column"):
        kmeans.fit(C[:, :0], X[:, :0])
    with pytest.raises(TypeError, match=r"X must be a float array of shape \(n, d\) with d = 3"):
        kmeans.fit(C[:, :3], X)


def test_one_row_is_its_own_centroid(iris):
    X, C, _ = iris
    fitted = kmeans.fit(C[:1], X[:1])
    np.testing.assert_array_equal(fitted.params.centroids, X[:1])
    assert bool(fitted.certificate.converged)
    assert fitted.certificate.objective == 0


def test_what_counts_and_is_not_a_number_shows(iris):
    X, C, s = iris
    holes = X.copy()
    holes[5, 2] = np.nan
    for broken in (
        kmeans.fit(C, holes),
        kmeans.fit(C, holes, sample_weight=s),
        kmeans.fit(C, X, sample_weight=0 * s),
        kmeans.fit(np.where(C[0, 0] == C, np.nan, C), X),
    ):
        assert np.isnan(broken.params.centroids).all()
        assert np.isnan(broken.certificate.gap)
        assert not broken.certificate.converged
    absent = np.where(np.arange(len(X)) == 5, 0, s)
    fitted = kmeans.fit(C, holes, sample_weight=absent)
    without = kmeans.fit(C, np.delete(X, 5, 0), sample_weight=np.delete(s, 5))
    np.testing.assert_allclose(fitted.params.centroids, without.params.centroids, rtol=1e-10)
    negative = kmeans.fit(C, X, sample_weight=np.where(np.arange(len(X)) == 7, -0.5, s))
    assert np.isnan(negative.certificate.gap)


def test_no_array_of_rows_times_centroids_is_made(iris):
    """The largest temporary of the compiled program is a block, and X itself."""
    X = np.zeros((40_000, 2), np.float32)
    program = jax.jit(kmeans.fit).lower(X[:300], X).compile()
    assert program.memory_analysis().temp_size_in_bytes < 40_000 * 300 * 4 / 3


def test_a_fit_that_begins_at_its_end_has_the_derivatives_of_means():
    X, there = np.array([[0.0], [1.0], [9.0], [11.0]]), np.array([[0.5], [10.0]])
    slope = jax.jacobian(lambda C, X: kmeans.fit(C, X).params.centroids, argnums=(0, 1))
    by_start, by_rows = slope(there, X)
    assert kmeans.fit(there, X).certificate.steps == 0
    np.testing.assert_array_equal(by_start, 0)
    np.testing.assert_allclose(by_rows[:, 0, :, 0], [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    stopped = jax.jacobian(lambda C: kmeans.fit(C, X, max_steps=0).params.centroids)(there - 2)
    np.testing.assert_array_equal(stopped[:, 0, :, 0], np.eye(2))


def test_the_certificate_is_that_of_the_answer_where_an_idle_cluster_is_put_on_a_row():
    X, start = np.array([[0.0], [0.0], [0.0], [10.0]]), np.array([[2.5], [1000.0]])
    fitted = kmeans.fit(start, X, tolerance=0.8)
    np.testing.assert_allclose(
        fitted.certificate.objective, kmeans.objective(fitted.params, X), rtol=1e-12
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_far_row_of_weight_0_is_absent_though_its_square_is_no_number(dtype):
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(40, 3)), 9 + rng.normal(size=(40, 3))]).astype(dtype)
    far = np.concatenate([X, np.full((1, 3), 1e20 if dtype == np.float32 else 1e200, dtype)])
    s = np.r_[np.ones(80), 0.0].astype(dtype)
    key = jax.random.key(1)
    start = kmeans.init_plus_plus(key, far, k=2, sample_weight=s)
    assert abs(float(start[0, 0] - start[1, 0])) > 3  # one of each group: by squares, not evenly
    found, alone = kmeans.fit(start, far, sample_weight=s), kmeans.fit(start, X)
    np.testing.assert_allclose(found.params.centroids, alone.params.centroids, rtol=1e-6)
    np.testing.assert_allclose(found.certificate.objective, alone.certificate.objective, rtol=1e-5)
    assert found.certificate.converged
    swept = kmeans.sweep(key, far, sizes=(2,), seeds=2, sample_weight=s)
    np.testing.assert_allclose(
        swept.certificate.objective.min(), alone.certificate.objective, rtol=1e-5
    )
    batches = kmeans.fit_minibatch(key, start, far, batch_size=16, steps=3, sample_weight=s)
    assert jnp.isfinite(batches.certificate.objective)


def test_weights_near_the_end_of_the_dtype_draw_as_others_do():
    X = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    s = np.full(100, 1e37, np.float32)
    key = jax.random.key(0)
    np.testing.assert_array_equal(
        kmeans.init_plus_plus(key, X, k=5, sample_weight=s), kmeans.init_plus_plus(key, X, k=5)
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["fit", "init_plus_plus", "fit_minibatch", "objective", "predict"])
def test_no_copy_of_the_rows_is_made(name, weighted):
    X = jax.ShapeDtypeStruct((100_000, 64), jnp.float32)
    C, key = jax.ShapeDtypeStruct((16, 64), jnp.float32), jax.random.key(0)
    s = jax.ShapeDtypeStruct((100_000,), jnp.float32) if weighted else None
    program = {
        "fit": lambda C, X, s: kmeans.fit(C, X, sample_weight=s),
        "init_plus_plus": lambda C, X, s: kmeans.init_plus_plus(key, X, k=16, sample_weight=s),
        "fit_minibatch": lambda C, X, s: kmeans.fit_minibatch(key, C, X, steps=2, sample_weight=s),
        "objective": lambda C, X, s: kmeans.objective(kmeans.Params(C), X, sample_weight=s),
        "predict": lambda C, X, s: mlmath.rows(kmeans.predict)(kmeans.Params(C), X),
    }[name]
    memory = jax.jit(program).lower(C, X, s).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 0.7 * X.size * 4


def test_a_lane_of_centroids_over_shared_rows_is_one_search_each():
    X = np.random.default_rng(0).normal(size=(50, 3))
    lanes = jnp.asarray(np.random.default_rng(1).normal(size=(4, 5, 3)))

    def labels(x):
        return jax.vmap(lambda C: kmeans.predict(kmeans.Params(C), x))(lanes)

    found = jax.vmap(labels)(X)
    squares = ((X[:, None, None] - np.asarray(lanes)[None]) ** 2).sum(3)
    np.testing.assert_array_equal(found, squares.argmin(2))


@pytest.mark.parametrize("held", [1e20, 2e38])
def test_a_far_row_of_weight_0_leaves_derivatives_alone(held):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 2)).astype(np.float32) + np.repeat([[4], [-4]], 15, 0).astype(
        np.float32
    )
    s = np.ones(30, np.float32)
    s[0], X[0] = 0, held
    start = X[[5, 20]]

    def value(s):
        return kmeans.fit(start, X, sample_weight=s).certificate.objective

    alone = jax.grad(lambda s: kmeans.fit(start, X[1:], sample_weight=s).certificate.objective)
    slope = jax.grad(value)(s)
    np.testing.assert_allclose(slope[1:], alone(s[1:]), rtol=1e-4)
    assert abs(slope[0]) < 1e-3
    assert np.isfinite(jax.hessian(value)(s)).all()
