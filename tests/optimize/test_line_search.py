"""The line search: what it accepts has the conditions of Wolfe, and what it cannot find it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from mlmath.optimize import landscapes, line_search

_A = np.random.default_rng(0).normal(size=(4, 4))
A, B = jnp.asarray(_A @ _A.T + np.eye(4)), jnp.arange(4.0)


def quadratic(x):
    return x @ A @ x / 2 - B @ x


@jax.jit
def searched(x, direction, length, curvature, trials):
    function = jax.value_and_grad(landscapes.rosenbrock)
    start = line_search.Point(x, *function(x))
    return line_search.search(
        function, start, direction, length=length, curvature=curvature, max_trials=trials
    )


STARTS = [[-1.2, 1.0], [2.0, -1.5], [0.3, 0.9], [-3.0, 4.0]]


@pytest.mark.parametrize("start", STARTS, ids=str)
@pytest.mark.parametrize("length", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("curvature", [0.9, 0.1, 1e-3])
def test_an_accepted_length_meets_the_conditions_of_wolfe(start, length, curvature):
    """Eq. (1) and (2) in NumPy, from SciPy's value and gradient."""
    f, gradient = scipy.optimize.rosen, scipy.optimize.rosen_der
    x = np.array(start)
    d = -gradient(x) / np.linalg.norm(gradient(x))
    found = searched(jnp.asarray(x), jnp.asarray(d), length, curvature, 100)
    t, slope = float(found.length), gradient(x) @ d
    assert bool(found.accepted)
    assert t > 0
    assert f(x + t * d) <= f(x) + 1e-4 * t * slope
    assert abs(gradient(x + t * d) @ d) <= curvature * abs(slope)
    np.testing.assert_allclose(found.point.x, x + t * d, rtol=1e-14)
    np.testing.assert_allclose(found.point.value, f(x + t * d), rtol=1e-12)
    np.testing.assert_allclose(found.point.gradient, gradient(x + t * d), rtol=1e-9)


def test_of_a_quadratic_the_second_trial_is_the_minimum():
    """Eq. (3)."""
    function, x = jax.value_and_grad(quadratic), jnp.ones(4)
    start = line_search.Point(x, *function(x))
    d = -start.gradient
    exact = -(start.gradient @ d) / (d @ A @ d)
    found = line_search.search(function, start, d, length=0.3 * exact, curvature=1e-9, max_trials=9)
    np.testing.assert_allclose(found.length, exact, rtol=1e-12)
    assert int(found.trials) == 2


@pytest.mark.parametrize(
    ("direction", "trials"), [([1.0, 0.0], 9), ([0.0, 0.0], 9), ([np.nan, 0.0], 9), ([-1.0, 0], 0)]
)
def test_where_there_is_nothing_to_find_it_stays(direction, trials):
    """At (1.5, 1) of Rosenbrock's function the value rises along the first axis."""
    x = jnp.array([1.5, 1.0])
    found = searched(x, jnp.array(direction), 1.0, 0.9, trials)
    np.testing.assert_array_equal(found.point.x, x)
    assert (float(found.length), int(found.trials), bool(found.accepted)) == (0.0, 0, False)


def test_trials_run_out_at_the_point_of_before():
    x = jnp.array([-1.2, 1.0])
    d = -jax.grad(landscapes.rosenbrock)(x)
    found = searched(x, d, 1e6, 0.9, 3)
    np.testing.assert_array_equal(found.point.x, x)
    assert (int(found.trials), bool(found.accepted)) == (3, False)


@pytest.mark.parametrize("length", [1e-3, 100.0, 1e300])
def test_a_trial_that_is_not_finite_is_too_long(length):
    """−log x + x along +1 from 0.1 has its minimum at 1, and no value at 0 and below."""
    function = jax.value_and_grad(lambda x: jnp.sum(x - jnp.log(2 - x) * 0.5 - jnp.sqrt(2 - x)))
    x = jnp.array([1.0])
    start = line_search.Point(x, *function(x))
    d = -jnp.sign(start.gradient)
    found = line_search.search(function, start, d, length=length, curvature=0.5, max_trials=200)
    assert np.isfinite(found.point.value)
    assert float(found.point.value) <= float(start.value)


def test_equal_values_are_forgiven_what_rounding_makes_of_them():
    """In float32 a value of 10⁴ hides the fall of 10⁻⁴ that the slopes see."""
    function = jax.value_and_grad(lambda x: 1e4 + 0.5 * jnp.sum((x - 1.01) ** 2))
    x = jnp.ones(1, jnp.float32)
    start = line_search.Point(x, *function(x))
    found = line_search.search(
        function, start, -start.gradient, length=0.5, curvature=0.1, max_trials=9
    )
    assert bool(found.accepted)
    np.testing.assert_allclose(found.point.x, 1.01, rtol=1e-5)


def test_lanes_are_alone():
    x, lengths = jnp.array([-1.2, 1.0]), jnp.array([1e-6, 1e-2, 1e3])
    d = -jax.grad(landscapes.rosenbrock)(x)
    together = jax.vmap(lambda t: searched(x, d, t, 0.9, 50))(lengths)
    for k, length in enumerate(lengths):
        alone = searched(x, d, length, 0.9, 50)
        np.testing.assert_allclose(together.length[k], alone.length, rtol=1e-12)
        assert int(together.trials[k]) == int(alone.trials)


@pytest.mark.parametrize(("rise", "accepted"), [(8, True), (9, False)])
def test_a_rise_is_forgiven_up_to_eight_roundings(rise, accepted):
    """Slopes of εx²/2, and values that hide them but for their own rounding."""
    eps, x = np.finfo(float).eps, jnp.ones(1)

    def function(x):
        return 1 + jnp.where(x[0] < 1, rise * eps, 0), eps * x

    start = line_search.Point(x, *function(x))
    found = line_search.search(function, start, -x, length=1.0, curvature=0.1, max_trials=1)
    assert bool(found.accepted) == accepted


@pytest.mark.parametrize(("short", "accepted"), [(3e-4, True), (1e-4, False)])
def test_of_a_parabola_all_but_a_ten_thousandth_of_the_length_that_falls_is_accepted(
    short, accepted
):
    """Eq. (1) of (x − 1)²/2 from 0 says t ≤ 2 − 2c₁."""
    function, x = jax.value_and_grad(lambda x: jnp.sum((x - 1) ** 2) / 2), jnp.zeros(1)
    start = line_search.Point(x, *function(x))
    found = line_search.search(
        function, start, x + 1, length=2 - short, curvature=1 - 1e-6, max_trials=1
    )
    assert bool(found.accepted) == accepted


@pytest.mark.parametrize("beyond", [(-np.inf, 0), (0, np.nan), (0, np.inf)], ids=str)
def test_where_value_or_gradient_is_not_finite_no_length_is_accepted(beyond):
    """x²/2 from 1 towards 0, with another value and gradient below 1/2."""

    def function(x):
        known = x[0] >= 0.5
        return jnp.where(known, x[0] ** 2 / 2, beyond[0]), jnp.where(known, x, beyond[1])

    start = line_search.Point(jnp.ones(1), *function(jnp.ones(1)))
    found = line_search.search(function, start, -start.x, length=0.8, curvature=0.9, max_trials=20)
    assert bool(found.accepted)
    assert 0 < float(found.length) <= 0.5


@pytest.mark.parametrize(
    ("value", "slope", "second"),
    [
        (0, 1000, 0.1),  # (3) is 1/1001
        (0, 0.05, 0.9),  # (3) is 1/1.05
        (-1, -0.5, 2),  # (3)
        (-1, -0.99, 10),  # (3) is 100
        (-1, -0.02, 1.1),  # (3) is 1/0.98
        (-1, -2, 4),  # steeper than before
        (1, -2, 0.5),  # steeper, and too long
        (np.nan, np.nan, 0.5),
    ],
)
def test_the_second_trial_is_where_the_secant_is_0_or_near_it(value, slope, second):
    """After a first one at 1 along which L falls from 0 with slope −1."""
    trials = []

    def function(x):
        trials.append(float(x[0]))
        return jnp.asarray(1.0 * value), jnp.array([1.0 * slope])

    start = line_search.Point(jnp.zeros(1), jnp.zeros(()), -jnp.ones(1))
    with jax.disable_jit():
        line_search.search(function, start, jnp.ones(1), length=1.0, curvature=0.01, max_trials=2)
    np.testing.assert_allclose(trials, [1, second], rtol=1e-12)
