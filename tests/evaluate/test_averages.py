"""Averages against their definitions, in float32 at a million rows, and on several devices."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlmath.evaluate.averages import coded, counted, mean, part, totals

MILLION = 10**6


@pytest.mark.parametrize("s", list(itertools.product([0.0, 2.0, np.nan], repeat=2)))
@pytest.mark.parametrize("judged", list(itertools.product([True, False], repeat=2)))
def test_counted_is_its_definition(s, judged):
    expected = [si if ji else 0 if si == 0 else np.nan for si, ji in zip(s, judged, strict=True)]
    np.testing.assert_array_equal(counted(np.array(judged), np.array(s)), expected)


def test_without_weights_a_row_that_cannot_be_judged_shows():
    np.testing.assert_array_equal(counted(np.array([True, False]), None), [1, np.nan])


def test_the_dtype_is_the_first_float_given():
    one, s = np.array([True]), np.ones(1)
    f32, i32 = np.ones(1, np.float32), np.ones(1, np.int32)
    assert counted(one, s, i32, f32).dtype == np.float32
    assert counted(one, s, i32, one).dtype == np.float64
    assert counted(one, None, i32).dtype == jnp.result_type(float)


def test_mean_is_its_definition():
    f, s = np.random.default_rng(0).uniform(size=(2, 9))
    np.testing.assert_allclose(mean(f, s), sum(s * f) / sum(s), rtol=1e-14)
    assert np.isnan(mean(f, 0 * s))


def test_part_is_its_definition():
    s, members = np.array([2.0, 3.0, np.nan, np.nan]), np.array([True, False, True, False])
    np.testing.assert_array_equal(part(s, members), [2, 0, np.nan, np.nan])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 4), min_size=200, max_size=200), st.integers(0, 2**32 - 1))
def test_totals_are_their_definition(code, seed):
    code, s = np.array(code, np.int32), np.random.default_rng(seed).uniform(size=200)
    expected = [s[code == c].sum() for c in range(5)]
    np.testing.assert_allclose(totals(code, s, classes=5), expected, rtol=1e-13)


@pytest.mark.parametrize("classes", [1, 3, 40, 5000])
def test_totals_of_few_and_of_many_classes(classes):
    code, s = np.random.default_rng(0).integers(0, classes, 200), np.ones(200)
    np.testing.assert_array_equal(
        totals(code.astype(np.int32), s, classes=classes), np.bincount(code, minlength=classes)
    )


def test_a_weight_that_is_nan_shows_in_every_total():
    code, s = np.array([0, 0, 1], np.int32), np.array([np.nan, 1.0, 1.0])
    assert np.isnan(totals(code, s, classes=3)).all()


@pytest.mark.parametrize("label", [np.int32, np.int8, np.float32, np.float64])
def test_coded_knows_the_classes(label):
    code, known = coded(np.array([0, 2, 3, -1, 1], label), classes=3)
    np.testing.assert_array_equal(known, [True, True, False, False, True])
    np.testing.assert_array_equal(code, [0, 2, 0, 0, 1])


def test_coded_takes_booleans_and_refuses_what_lies_between():
    np.testing.assert_array_equal(coded(np.array([False, True]), classes=2)[0], [0, 1])
    code, known = coded(np.array([0.5, np.nan, np.inf, 2.0**40]), classes=3)
    assert not known.any()
    assert (code == 0).all()


def test_no_class_and_no_row_are_refused():
    with pytest.raises(ValueError, match="classes must be at least 1, got 0"):
        coded(np.zeros(1), classes=0)
    with pytest.raises(ValueError, match="at least one row to judge, got none"):
        counted(np.zeros(0, bool), None)


@pytest.mark.parametrize("lanes", [None, 2], ids=["alone", "under vmap"])
@pytest.mark.parametrize("kind", ["uniform", "sorted", "constant", "squares"])
def test_a_mean_of_a_million_numbers_keeps_the_digits_of_float32(kind, lanes):
    rng = np.random.default_rng(0)
    f = {
        "uniform": rng.uniform(size=MILLION),
        "sorted": np.sort(rng.uniform(size=MILLION)),
        "constant": np.full(MILLION, 0.1),
        "squares": rng.normal(size=MILLION) ** 2,
    }[kind].astype(np.float32)
    s = rng.uniform(size=MILLION).astype(np.float32)
    expected = np.average(f.astype(float), weights=s.astype(float))
    batch = jax.vmap(mean, (0, None)) if lanes else mean
    found = jax.jit(batch)(np.stack([f] * lanes) if lanes else f, s)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("classes", [1, 2, 10])
def test_totals_of_a_million_equal_weights_keep_the_digits_of_float32(classes):
    code, s = np.arange(MILLION, dtype=np.int32) % classes, np.full(MILLION, 0.1, np.float32)
    expected = float(np.float32(0.1)) * np.bincount(code)
    np.testing.assert_allclose(totals(code, s, classes=classes), expected, rtol=1e-6)


def test_derivatives_in_the_weights_are_right_at_0():
    code, f = jnp.array([0, 1, 1], jnp.int32), jnp.array([1.0, 2.0, 4.0])
    s, judged = jnp.array([1.0, 0.0, 2.0]), jnp.array([True, True, True])
    slope = jax.grad(lambda s: mean(f, counted(judged, s)))(s)
    np.testing.assert_allclose(slope, (f - 3.0) / 3.0, rtol=1e-14)  # (fᵢ − ⟨f⟩)/S
    slope = jax.jacobian(lambda s: totals(code, counted(judged, s), classes=2))(s)
    np.testing.assert_array_equal(slope, [[1, 0, 0], [0, 1, 1]])
