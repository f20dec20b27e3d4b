"""Functions of a matrix against scipy, the theorem of Daleckii and Krein, and differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from mlmath.linalg import matrix_functions, spectra
from tests.factorisations import side_by_side

RNG = np.random.default_rng(0)
_A = RNG.normal(size=(4, 4))
A = (_A + _A.T) / 2
_E, _G = RNG.normal(size=(2, 4, 4))
E, G = _E + _E.T, _G + _G.T
Q = np.linalg.qr(RNG.normal(size=(4, 4)))[0]
REPEATED = {
    "distinct": A,
    "identity": np.eye(4),
    "pairs": Q * np.array([3.0, 3.0, 1.0, 1.0]) @ Q.T,
    "zero": np.zeros((4, 4)),
}
matrices = pytest.mark.parametrize("matrix", REPEATED.values(), ids=REPEATED)


def both_orders(function, matrix, second=True):
    """Df[E] and D²f[E, G] forward, and in the gradient and Hessian of ⟨C, f⟩ in reverse."""
    C = _A

    def along(t, s):
        return function(matrix + t * E + s * G)

    def scalar(t, s):
        return jnp.sum(C * along(t, s))

    first = jax.jacfwd(along)(0.0, 0.0)
    np.testing.assert_allclose(jax.grad(scalar)(0.0, 0.0), jnp.sum(C * first), rtol=1e-9)
    if not second:
        return first
    bend = jax.jacfwd(jax.jacfwd(along), 1)(0.0, 0.0)
    for outer in (jax.grad, jax.jacfwd):
        for inner in (jax.grad, jax.jacfwd):
            found = outer(inner(scalar), 1)(0.0, 0.0)
            np.testing.assert_allclose(found, jnp.sum(C * bend), rtol=1e-8, atol=1e-10)
    return first, bend


def differences(function, matrix, h=1e-4):
    """Df[E] and D²f[E, G] by central differences of order h²."""

    def f(t, s):
        return np.asarray(function(matrix + t * h * E + s * h * G))

    first = (f(1, 0) - f(-1, 0)) / (2 * h)
    return first, (f(1, 1) - f(1, -1) - f(-1, 1) + f(-1, -1)) / (4 * h * h)


@matrices
def test_the_exponential_has_two_derivatives_wherever_eigenvalues_lie(matrix):
    def ours(a):
        return matrix_functions.spectral_function(jnp.exp, a)

    np.testing.assert_allclose(ours(matrix), scipy.linalg.expm(matrix), rtol=1e-12, atol=1e-13)
    first, bend = both_orders(ours, matrix)
    right = scipy.linalg.expm_frechet(matrix, E, compute_expm=False)
    np.testing.assert_allclose(first, right, rtol=1e-11, atol=1e-12)
    h = 1e-3
    numeric = (
        scipy.linalg.expm_frechet(matrix + h * G, E, compute_expm=False)
        - scipy.linalg.expm_frechet(matrix - h * G, E, compute_expm=False)
    ) / (2 * h)
    np.testing.assert_allclose(bend, numeric, rtol=1e-4, atol=1e-4)


def test_derivatives_are_equations_2_and_3():
    """A cube: f[a, b] = a² + ab + b², f[a, b, c] = a + b + c."""
    values, V = (np.asarray(x) for x in spectra.eigh(A))
    first, bend = both_orders(lambda a: matrix_functions.spectral_function(lambda x: x**3, a), A)
    e, g = V.T @ E @ V, V.T @ G @ V
    one, two = np.zeros((4, 4)), np.zeros((4, 4))
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            one[i, j] = (a * a + a * b + b * b) * e[i, j]
            for k, c in enumerate(values):
                two[i, j] += (a + b + c) * (e[i, k] * g[k, j] + g[i, k] * e[k, j])
    np.testing.assert_allclose(first, V @ one @ V.T, rtol=1e-11)
    np.testing.assert_allclose(bend, V @ two @ V.T, rtol=1e-10)


def test_numbers_that_the_function_carries_have_derivatives_too():
    def ours(a, t):
        f = lambda x: jnp.exp(-t[0] * x) + t[1] * x * x  # noqa: E731
        return jnp.sum(_A * matrix_functions.spectral_function(f, a))

    def plain(a, t):
        a = (a + a.T) / 2
        return jnp.sum(_A * (jax.scipy.linalg.expm(-t[0] * a) + t[1] * a @ a))

    t = jnp.array([0.3, 0.5])
    found = jax.jacfwd(jax.grad(ours, (0, 1)), (0, 1))(A, t)
    right = jax.jacfwd(jax.grad(plain, (0, 1)), (0, 1))(A, t)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-12)


def test_the_relu_gives_the_nearest_positive_semidefinite_matrix():
    def nearest(a):
        return matrix_functions.spectral_function(jax.nn.relu, a)

    values, V = np.linalg.eigh(A)
    np.testing.assert_allclose(nearest(A), V * np.maximum(values, 0) @ V.T, atol=1e-13)
    first = both_orders(nearest, A, second=False)
    np.testing.assert_allclose(first, differences(nearest, A)[0], atol=1e-6)


@pytest.mark.parametrize("kept", [[3.0, 3.0], [4.0, 2.0], [2.0, 2.0 + 1e-10]])
def test_projector_has_derivatives_by_the_gap_alone(kept):
    matrix = Q * np.array([*kept, 1.0, 1.0]) @ Q.T

    def ours(a):
        return matrix_functions.projector(a, 2).matrix

    found = matrix_functions.projector(matrix, 2)
    np.testing.assert_allclose(found.matrix, Q[:, :2] @ Q[:, :2].T, atol=1e-13)
    np.testing.assert_allclose(found.gap, min(kept) - 1, rtol=1e-12)
    first, bend = both_orders(ours, matrix)
    numeric = differences(ours, matrix)
    np.testing.assert_allclose(first, numeric[0], atol=1e-5)
    np.testing.assert_allclose(bend, numeric[1], atol=1e-4)
    values, V = (np.asarray(x) for x in spectra.eigh(matrix))
    formula = sum(
        (V[:, i] @ E @ V[:, j]) * (np.outer(V[:, i], V[:, j]) + np.outer(V[:, j], V[:, i]))
        / (values[i] - values[j])
        for i in (0, 1) for j in (2, 3)
    )  # fmt: skip
    np.testing.assert_allclose(first, formula, atol=1e-11)


def test_the_gap_is_differentiable_and_infinite_where_all_is_kept():
    slope = jax.grad(lambda a: matrix_functions.projector(a, 1).gap)(np.diag([3.0, 2.0, 1.0]))
    np.testing.assert_allclose(slope, np.diag([1.0, -1.0, 0.0]), atol=1e-14)
    whole = matrix_functions.projector(A, 4)
    assert whole.gap == np.inf
    np.testing.assert_allclose(whole.matrix, np.eye(4), atol=1e-14)


def test_a_gap_of_nothing_shows_in_the_derivative():
    found = matrix_functions.projector(np.eye(3), 1)
    assert found.gap == 0
    slope = jax.grad(lambda a: matrix_functions.projector(a, 1).matrix[0, 1])(np.eye(3))
    assert not np.isfinite(slope).any()


@pytest.mark.parametrize("k", [0, 5])
def test_more_vectors_than_there_are_is_refused(k):
    with pytest.raises(ValueError, match="k must be from 1 to 4"):
        matrix_functions.projector(A, k)


ROOTS = {
    "root": (matrix_functions.square_root, scipy.linalg.sqrtm),
    "inverse": (
        matrix_functions.inverse_square_root,
        lambda a: scipy.linalg.sqrtm(np.linalg.pinv(a, rcond=1e-10, hermitian=True)).real,
    ),
}
roots = pytest.mark.parametrize(("ours", "peer"), ROOTS.values(), ids=ROOTS)


@roots
@pytest.mark.parametrize("values", [[4.0, 2.0, 1.0, 0.5], [2.0, 2.0, 2.0, 1.0], [1.0] * 4])
def test_roots_of_positive_definite_matrices(ours, peer, values):
    matrix = Q * np.array(values) @ Q.T
    np.testing.assert_allclose(ours(matrix), peer(matrix), atol=1e-12)
    first, bend = both_orders(ours, matrix)
    numeric = differences(ours, matrix)
    np.testing.assert_allclose(first, numeric[0], atol=1e-4)
    np.testing.assert_allclose(bend, numeric[1], atol=1e-3)


@roots
def test_roots_of_a_matrix_without_full_rank_have_the_derivatives_along_its_rank(ours, peer):
    B = RNG.normal(size=(4, 2)) + 2 * np.eye(4)[:, :2]

    def along(t):
        moved = B + t * E[:, :2]
        return ours(moved @ moved.T)

    np.testing.assert_allclose(along(0.0), peer(B @ B.T), atol=1e-7)
    h = 1e-3
    up, here, down = (np.asarray(along(t)) for t in (h, 0.0, -h))
    np.testing.assert_allclose(jax.jacfwd(along)(0.0), (up - down) / (2 * h), atol=1e-3)
    bend = jax.jacfwd(jax.jacfwd(along))(0.0)
    np.testing.assert_allclose(bend, (up - 2 * here + down) / h**2, rtol=1e-3, atol=1e-3)
    slope = jax.grad(lambda b: jnp.sum(_A * ours(b @ b.T)))(B)
    np.testing.assert_allclose(jnp.sum(slope * E[:, :2]), jnp.sum(_A * jax.jacfwd(along)(0.0)))


@roots
@pytest.mark.parametrize("unit", [1e-20, 1.0, 1e20])
def test_roots_at_any_scale_in_single_precision(ours, peer, unit):
    matrix = Q * np.array([4.0, 2.0, 1.0, 0.5]) @ Q.T
    found = ours((unit * matrix).astype(np.float32))
    assert found.dtype == np.float32
    power = unit**0.5 if ours is matrix_functions.square_root else unit**-0.5
    np.testing.assert_allclose(found / power, peer(matrix), atol=2e-6)
    slope = jax.grad(lambda a: jnp.trace(ours(a)))((unit * matrix).astype(np.float32))
    right = jax.grad(lambda a: jnp.trace(ours(a)))(matrix)
    np.testing.assert_allclose(slope / (power / unit), right, rtol=1e-4, atol=1e-5)


@roots
@pytest.mark.parametrize("unit", [1e-20, 1e20])
def test_second_derivatives_of_roots_stay_in_range_in_single_precision(ours, peer, unit):
    """f″ alone, as λ^−5/2, does not; the derivative in relative changes of the matrix does."""
    matrix = (unit * Q * np.array([4.0, 2.0, 1.0, 0.5]) @ Q.T).astype(np.float32)

    def along(t):
        return jnp.trace(ours((1 + t) * matrix))

    power = 0.5 if ours is matrix_functions.square_root else -0.5
    found = jax.grad(jax.grad(along))(np.float32(0))
    np.testing.assert_allclose(found / along(0), power * (power - 1), rtol=1e-4)


@roots
def test_roots_of_nothing_and_of_what_has_none(ours, peer):
    np.testing.assert_array_equal(ours(np.zeros((3, 3))), 0)
    np.testing.assert_array_equal(jax.grad(lambda a: jnp.sum(ours(a)))(np.zeros((3, 3))), 0)
    assert np.isnan(ours(np.diag([1.0, -0.1]))).all()
    assert np.isfinite(ours(np.diag([1.0, -1e-17]))).all()
    np.testing.assert_allclose(ours(np.array([[4.0]])), peer(np.array([[4.0]])))


def test_the_tolerance_is_relative_to_the_largest_eigenvalue():
    matrix = np.diag([4e6, 4.0, 1.0])
    found = matrix_functions.inverse_square_root(matrix, tolerance=5e-7)
    np.testing.assert_allclose(found, np.diag([5e-4, 0.5, 0])[:3], atol=1e-15)


@pytest.mark.parametrize(
    "function",
    [
        lambda a: matrix_functions.spectral_function(jnp.exp, a),
        lambda a: matrix_functions.projector(a, 1).matrix,
        matrix_functions.square_root,
    ],
)
def test_a_missing_number_shows_and_lanes_are_a_loop(function):
    many = np.stack([np.diag([3.0, 1.0]), np.array([[2.0, np.nan], [np.nan, 1.0]])])
    lanes = jax.jit(jax.vmap(jax.grad(lambda a: jnp.sum(function(a)))))
    found = lanes(many)
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[0], jax.grad(lambda a: jnp.sum(function(a)))(many[0]))
    assert side_by_side(lanes.lower(many).compile().as_text()) == []


@pytest.mark.parametrize("outer", [jax.grad, jax.jacfwd])
@pytest.mark.parametrize("inner", [jax.grad, jax.jacfwd])
def test_a_third_derivative_is_refused(outer, inner):
    def function(t):
        return jnp.sum(matrix_functions.spectral_function(jnp.exp, t * A))

    with pytest.raises(NotImplementedError, match="no third"):
        outer(inner(outer(function)))(1.0)
