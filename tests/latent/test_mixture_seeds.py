import jax
import numpy as np
import pytest

from mlmath.latent import full_mixture, mixture_seeds, tied_mixture


@pytest.fixture(scope="module")
def groups():
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 2)) + 100 * (np.arange(60) % 3)[:, None] * [1.0, -0.5]


def test_far_groups_each_give_a_mean_and_the_covariance_is_the_scatter_about_them(groups):
    """Eq. (1) and (2)."""
    s = np.random.default_rng(1).uniform(0.5, 2, size=60)
    for seed in range(5):
        start = full_mixture.init(jax.random.key(seed), groups, k=3, sample_weight=s)
        rows = [np.flatnonzero((groups == m).all(1))[0] for m in np.asarray(start.means)]
        assert sorted(r % 3 for r in rows) == [0, 1, 2]
        nearest = ((groups[:, None] - start.means[None]) ** 2).sum(2).argmin(1)
        away = groups - np.asarray(start.means)[nearest]
        for covariance in start.covariances:
            np.testing.assert_allclose(covariance, s * away.T @ away / s.sum(), rtol=1e-9)
        np.testing.assert_allclose(start.weights, np.ones(3) / 3)


def test_rows_of_weight_zero_are_never_drawn_whatever_they_hold(groups):
    X, weight = np.array(groups), (np.arange(60) % 3 != 1) * 1.0
    X[1] = np.nan
    many = jax.vmap(lambda key: full_mixture.init(key, X, k=4, sample_weight=weight).means)
    means = np.asarray(many(jax.random.split(jax.random.key(0), 50)))
    allowed = {tuple(row) for row in X[weight > 0]}
    assert {tuple(row) for row in means.reshape(-1, 2)} <= allowed


def test_a_far_row_of_weight_zero_leaves_the_start_as_it_is(groups):
    weight = np.append(np.ones(59), 0)
    far = np.concatenate([groups[:59], [[1e200, -1e200]]])
    many = jax.vmap(lambda key, X: full_mixture.init(key, X, k=3, sample_weight=weight), (0, None))
    keys = jax.random.split(jax.random.key(2), 20)
    ours, right = many(keys, far), many(keys, groups)
    for a, b in zip(ours, right, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_draws_of_more_means_begin_with_those_of_fewer(groups):
    family, key = tied_mixture.FAMILY, jax.random.key(3)
    few = mixture_seeds.init(family, key, groups, k=5, present=2)
    all_five = mixture_seeds.init(family, key, groups, k=5)
    np.testing.assert_array_equal(few.means[:2], all_five.means[:2])
    np.testing.assert_allclose(few.weights, [0.5, 0.5, 0, 0, 0])
    apart = (groups[:, None] - np.asarray(few.means)[None, :2]) / groups.std(0)
    nearest = (apart**2).sum(2).argmin(1)
    away = groups - np.asarray(few.means)[nearest]
    np.testing.assert_allclose(few.covariances, away.T @ away / 60, rtol=1e-9)


def test_means_are_drawn_in_proportion_to_weights_and_squared_distances():
    """Eq. (1)."""
    X, weight = np.array([[0.0], [1.0], [4.0], [5.0]]), np.array([1.0, 2.0, 3.0, 4.0])
    draw = jax.vmap(lambda key: full_mixture.init(key, X, k=2, sample_weight=weight).means[:, 0])
    n = 4000
    drawn = np.asarray(draw(jax.random.split(jax.random.key(1), n)))
    first, second = np.searchsorted(X[:, 0], drawn.T)
    share = np.bincount(4 * first + second, minlength=16).reshape(4, 4) / n
    chance = weight * (X - X.T) ** 2
    right = weight[:, None] / 10 * chance / chance.sum(1, keepdims=True)
    assert (abs(share - right) <= 4 * np.sqrt(right * (1 - right) / n)).all()


def test_the_units_of_columns_count_repetitions_and_no_constant_column(groups):
    counts = np.arange(60) % 3
    X = np.c_[groups, np.full(60, 7.0)]
    weighted = mixture_seeds._standardised(X, counts * 1.0)
    repeated = mixture_seeds._standardised(np.repeat(X, counts, 0), np.ones(counts.sum()))
    np.testing.assert_allclose(np.repeat(weighted, counts, 0), repeated, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(weighted[:, 2], 0)


def test_fewer_distinct_rows_than_components_show(groups):
    X = np.repeat(groups[:2], 10, axis=0)
    fitted = full_mixture.fit(full_mixture.init(jax.random.key(0), X, k=3), X)
    assert np.isnan(fitted.certificate.gap)


@pytest.mark.parametrize("k", [0, 61])
def test_a_number_that_the_rows_cannot_have_is_refused(k, groups):
    with pytest.raises(ValueError, match=f"from 1 to the 60 rows of X, got {k}"):
        full_mixture.init(jax.random.key(0), groups, k=k)


def test_with_every_row_a_mean_no_absent_row_becomes_one():
    X, s = np.array([[1000.0], [0.0], [1.0]]), np.array([0.0, 1, 1])
    for seed in range(3):
        means = full_mixture.init(jax.random.key(seed), X, k=3, sample_weight=s).means
        assert set(np.asarray(means).ravel()) <= {0.0, 1.0}


def test_no_array_of_rows_times_features_is_made():
    X = np.zeros((50_000, 16), np.float32)
    program = (
        jax.jit(full_mixture.init, static_argnames="k").lower(jax.random.key(0), X, k=4).compile()
    )
    assert program.memory_analysis().temp_size_in_bytes < 4 * X.nbytes
