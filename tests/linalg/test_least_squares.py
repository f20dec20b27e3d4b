"""Least squares without intercept against its definition, pseudo-inverses, and certified values."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.test_util import check_grads

from mlmath.linalg import least_squares


def system(n=30, d=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=n), rng.uniform(0.2, 2.0, size=n)


def conditioned(condition, n=30, d=4, seed=0):
    rng = np.random.default_rng(seed)
    U, V = np.linalg.qr(rng.normal(size=(n, d)))[0], np.linalg.qr(rng.normal(size=(d, d)))[0]
    return U * np.geomspace(1, 1 / condition, d) @ V, U, V


def test_objective_is_its_definition():
    A, y, s = system()
    b = np.array([0.3, -0.1, 0.7, 1.0])
    naive = 0.5 * sum(si * (yi - ai @ b) ** 2 for ai, yi, si in zip(A, y, s, strict=True))
    found = least_squares.objective(jnp.asarray(b), A, y, sample_weight=s)
    np.testing.assert_allclose(found, naive, rtol=1e-12)


def test_the_answer_is_the_pseudo_inverse_of_the_normal_equations():
    A, y, s = system()
    H = A.T @ np.diag(s) @ A
    solved = least_squares.solve(A, y, sample_weight=s)
    np.testing.assert_allclose(solved.solution, np.linalg.pinv(H) @ A.T @ (s * y), rtol=1e-11)
    np.testing.assert_allclose(solved.root @ solved.root.T, np.linalg.pinv(H), rtol=1e-10)


def test_certificate_is_the_exact_excess():
    A, y, s = system()
    solved = least_squares.solve(A, y, sample_weight=s)
    b, W = solved.solution + jnp.array([0.1, -0.2, 0.3, 0.4]), np.asarray(solved.root)

    def loss(b):
        return float(least_squares.objective(b, A, y, sample_weight=s))

    descent = W.T @ A.T @ (s * (y - A @ b))
    np.testing.assert_allclose(descent @ descent / 2, loss(b) - loss(solved.solution), rtol=1e-10)
    np.testing.assert_allclose(b + W @ descent, solved.solution, rtol=1e-10)  # one step is exact
    np.testing.assert_allclose(solved.certificate.objective, loss(solved.solution), rtol=1e-13)
    assert solved.certificate.gap < 1e-28


def test_digits_on_nist_without_intercept(shared):
    text = (shared / "oracles" / "nist_strd.json").read_text()
    entry = json.loads(text)["linear_regression"]["NoInt1"]
    A, y = np.array(entry["x"], float), np.array(entry["y"], float)
    solved = least_squares.solve(A, y)
    rss = 2 * float(solved.certificate.objective)
    error = np.sqrt(rss / (len(y) - int(solved.rank))) * np.abs(np.asarray(solved.root))[0, 0]
    exact = entry["exact_rational_recomputed"]
    np.testing.assert_allclose(solved.solution, np.array(exact["beta"], float), rtol=1e-14)
    np.testing.assert_allclose(error, float(exact["se"][0]), rtol=1e-13)
    r_squared = float(entry["certified"]["r_squared"])
    np.testing.assert_allclose(1 - rss / (y @ y), r_squared, rtol=1e-14)


@pytest.mark.parametrize("columns", [[0, 1, 1, 2, 2], [0, 0, 0, 0, 0], [3, 1, 2, 0, 0]])
@pytest.mark.parametrize("rows", [30, 3])
def test_of_many_minimisers_the_least(columns, rows):
    A, y, s = system()
    A, y, s = A[:rows, columns], y[:rows], s[:rows]
    root = np.sqrt(s)
    expected = np.linalg.pinv(root[:, None] * A, rcond=1e-10)
    solved = least_squares.solve(A, y, sample_weight=s)
    np.testing.assert_allclose(solved.solution, expected @ (root * y), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(
        solved.root @ solved.root.T, expected @ expected.T, rtol=1e-10, atol=1e-12
    )
    assert solved.rank == np.linalg.matrix_rank(A)
    assert solved.certificate.converged


@pytest.mark.parametrize("condition", [1e1, 1e3, 1e5, 1e7, 1e9])
def test_the_condition_enters_the_error_once_where_the_residual_is_small(condition):
    A, _, _ = conditioned(condition)
    b = np.array([1.0, -2.0, 0.5, 3.0])
    solved = least_squares.solve(A, A @ b)
    assert np.linalg.norm(np.asarray(solved.solution) - b) <= 1e-14 * condition
    assert solved.rank == 4


@pytest.mark.parametrize(
    ("dtype", "condition"),
    [(np.float32, c) for c in (1e1, 1e2, 1e3)] + [(np.float64, c) for c in (1e2, 1e4, 1e6, 1e8)],
)
def test_error_is_that_of_a_backward_stable_method(dtype, condition):
    """Against the exact answer, twice the error of numpy's SVD, or the bound for κ and κ² tan θ."""
    A, U, _ = conditioned(condition)
    A = A.astype(dtype)
    y = (U @ np.ones(4) + 1e-3 * system()[1]).astype(dtype)
    exact = np.linalg.lstsq(A.astype(np.longdouble).astype(float), y.astype(float), rcond=None)[0]
    found = np.asarray(least_squares.solve(A, y).solution)
    peer = np.linalg.lstsq(A, y, rcond=None)[0]
    ours, theirs = np.linalg.norm(found - exact), np.linalg.norm(peer - exact)
    bound = 20 * np.finfo(dtype).eps * condition * (1 + 1e-3 * condition)
    assert ours <= max(2 * theirs, bound * np.linalg.norm(exact))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "units", [[1e-8, 1e8, 1, 1], [1e-25, 1e25, 1, 1], [1e-30, 1e-30, 1, 1], [2e-19, 1, 1, 1]]
)
def test_units_of_a_column_do_not_matter(units, dtype):
    A, y, s = (a.astype(dtype) for a in system())
    units = np.array(units, dtype)
    plain = least_squares.solve(A, y, sample_weight=s)
    scaled = least_squares.solve(A * units, y, sample_weight=s)
    error = np.abs(np.asarray(scaled.solution * units - plain.solution)).max()
    assert error <= 50 * np.finfo(dtype).eps * np.abs(plain.solution).max()
    deviations = np.linalg.norm(scaled.root * units[:, None], axis=1)
    expected = np.linalg.norm(plain.root, axis=1)
    np.testing.assert_allclose(deviations, expected, rtol=50 * np.finfo(dtype).eps)
    assert scaled.rank == 4
    assert scaled.certificate.converged


def test_columns_of_scales_far_apart_that_repeat_are_still_solved():
    A, y, s = system()
    A = np.c_[A, A] * ([1e-8, 1e8, 1, 1] * 2)
    solved = least_squares.solve(A, y, sample_weight=s)
    half = least_squares.solve(A[:, :4], y, sample_weight=s)
    assert solved.rank == 4
    np.testing.assert_allclose(solved.certificate.objective, half.certificate.objective, rtol=1e-12)
    least = np.linalg.norm(half.solution) / np.sqrt(2)  # each column shares with its double
    np.testing.assert_allclose(np.linalg.norm(solved.solution), least, rtol=1e-9)


def test_absent_rows_and_missing_values():
    A, y, s = system()
    broken = A.copy()
    broken[[2, 5]] = np.nan
    s[[2, 5]] = 0
    keep = s > 0
    solved = least_squares.solve(broken, y, sample_weight=s)
    fewer = least_squares.solve(A[keep], y[keep], sample_weight=s[keep])
    np.testing.assert_allclose(solved.solution, fewer.solution, rtol=1e-12)
    gradient = jax.grad(lambda s: least_squares.solve(broken, y, sample_weight=s).solution.sum())(s)
    assert np.isfinite(gradient).all()
    assert gradient[2] == 0
    for A_, s_ in [(broken, s + 1), (A, 0 * s)]:
        solved = least_squares.solve(A_, y, sample_weight=s_)
        assert np.isnan(solved.solution).all()
        assert np.isnan(solved.certificate.objective)
        assert not solved.certificate.converged


def test_no_column_is_refused():
    A, y, _ = system()
    with pytest.raises(ValueError, match="at least one row and one column"):
        least_squares.solve(A[:, :0], y)


@pytest.mark.parametrize("shape", [(30, 4), (4, 9)])
def test_first_and_second_derivatives(shape):
    A, y, s = system(*shape)
    for part in (0, 1):

        def answer(A, y, s, part=part):
            solved = least_squares.solve(A, y, sample_weight=s)
            return (solved.solution, solved.certificate.objective)[part]

        check_grads(answer, (A, y, s), 2, eps=1e-4, atol=1e-5, rtol=1e-5)


def test_derivatives_at_a_deficient_rank_in_targets_and_weights():
    A, y, s = system()
    A = A[:, [0, 1, 1, 2]]

    def answer(y, s):
        return least_squares.solve(A, y, sample_weight=s).solution

    check_grads(answer, (y, s), 2, eps=1e-4, atol=1e-6, rtol=1e-6)


def test_ill_conditioned_derivatives_keep_their_digits():
    A, _, _ = conditioned(1e5)
    y = system()[1]
    derivative = jax.jacobian(lambda y: least_squares.solve(A, y).solution)(y)
    expected = np.linalg.pinv(A)
    assert np.linalg.norm(derivative - expected) <= 1e-9 * np.linalg.norm(expected)


def test_a_batch_is_a_loop_whatever_the_condition():
    _, y, s = system()
    batch = np.stack([conditioned(c)[0] for c in (1.0, 1e4, 1e8)])
    solved = jax.vmap(lambda A: least_squares.solve(A, y, sample_weight=s).solution)(batch)
    for A, found, tolerance in zip(batch, solved, (1e-12, 1e-10, 1e-6), strict=True):
        alone = least_squares.solve(A, y, sample_weight=s).solution
        np.testing.assert_allclose(found, alone, rtol=tolerance)


@pytest.mark.parametrize("condition", [1e0, 1e8])
def test_sharded_rows_stay_where_they_are(condition):
    A, _, _ = conditioned(condition, n=1024)
    y = system(1024)[1]
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
    over = NamedSharding(mesh, PartitionSpec("rows"))
    sharded = jax.device_put(A, over), jax.device_put(y, over)
    text = jax.jit(least_squares.solve).lower(*sharded).compile().as_text()
    moved = re.findall(r"= (.*) (?:all-gather|all-to-all|collective-permute)(?:-start)?\(", text)
    assert not [m for m in moved if "1024" in m or "128" in m], moved
    found = least_squares.solve(*sharded)
    one = least_squares.solve(A, y)
    np.testing.assert_allclose(found.solution, one.solution, rtol=1e-12 * max(1, condition**0.6))
    assert found.rank == one.rank
