"""The figure of a training run shows every loss, what it was around, and what was counted out."""

import io

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from mlmath.plot import training

RNG = np.random.default_rng(0)
LOSSES = np.exp(-np.arange(200) / 30) * RNG.uniform(0.8, 1.2, 200)
FLAT = RNG.uniform(-1, 1, 200)


def named(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def drawn(axes, label):
    (line,) = [line for line in axes.lines if label in str(line.get_label())]
    return line.get_xydata()


def definition(losses, w):
    """Eq. (1), term by term."""
    found = []
    for t in range(len(losses)):
        known = [x for x in losses[max(0, t - w + 1) : t + 1] if np.isfinite(x)]
        found.append(sum(known) / len(known) if known else np.nan)
    return found


@pytest.mark.parametrize("window", [1, 7, 200, 500])
def test_the_running_mean_is_its_definition(window):
    losses = FLAT.copy()
    losses[[3, 50, 51]] = np.nan, np.inf, -np.inf
    found = training.running_mean(losses, window)
    np.testing.assert_allclose(found, definition(losses, window), rtol=1e-12, atol=1e-14)


def test_the_running_mean_is_that_of_pandas():
    expected = pd.Series(FLAT).rolling(9, min_periods=1).mean()
    np.testing.assert_allclose(training.running_mean(FLAT, 9), expected, atol=1e-14)


def test_a_high_loss_leaves_no_rounding_behind():
    losses = np.append(1e16, np.ones(20))
    np.testing.assert_array_equal(training.running_mean(losses, 4)[4:], 1)


def test_each_loss_and_the_mean_are_drawn():
    figure = training.curve(jnp.asarray(LOSSES), window=10, loss="log loss (nats)")
    (axes,) = figure.axes
    t = np.arange(200)
    np.testing.assert_array_equal(drawn(axes, "each step"), np.c_[t, LOSSES])
    np.testing.assert_allclose(drawn(axes, "mean of 10"), np.c_[t, definition(LOSSES, 10)])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "log loss (nats)")
    assert "mean of 4 steps" in named(training.curve(LOSSES))  # a fiftieth of 200


def test_the_axis_is_logarithmic_where_losses_are_positive_and_wide():
    assert training.curve(LOSSES).axes[0].get_yscale() == "log"
    assert training.curve(LOSSES[:55]).axes[0].get_yscale() == "linear"
    assert training.curve(np.append(LOSSES, 0)).axes[0].get_yscale() == "linear"


def test_what_is_far_out_or_not_finite_is_counted():
    losses = 5 + FLAT
    losses[[20, 30]] = 1e4, np.nan
    figure = training.curve(losses, window=200)
    inside = np.delete(losses, [20, 30])
    low, high = figure.axes[0].get_ylim()
    assert low < inside.min() < inside.max() < high < 1e4
    assert named(figure)[2:] == ["1 of 200 losses beyond the frame", "1 of 200 losses not finite"]
    low, high = LOSSES.copy(), LOSSES.copy()
    low[100], high[100] = 1e-12, 1e12
    bottom, _ = training.curve(low, window=50).axes[0].get_ylim()
    assert 1e-12 < bottom < LOSSES.min()
    _, top = training.curve(high, window=50).axes[0].get_ylim()
    assert top > 1e9  # the mean went there
    sunk = np.append(1 + FLAT / 100, [0.5])
    assert len(named(training.curve(sunk, window=1))) == 2  # nothing is beyond


def test_the_score_the_best_and_the_rate_have_panels_of_their_own():
    steps, scores = np.array([50, 100, 200]), np.array([0.5, 0.9, 0.8])
    rates = np.linspace(0.1, 0, 200)
    figure = training.curve(
        LOSSES, validation=(steps, scores), best=1, learning_rates=rates, score="accuracy"
    )
    _, middle, lowest = figure.axes
    np.testing.assert_array_equal(middle.lines[0].get_xydata(), np.c_[steps, scores])
    np.testing.assert_array_equal(drawn(middle, "best"), [[100, 0.9]])
    assert "best: 0.9 after 100 steps" in named(figure)
    np.testing.assert_array_equal(lowest.lines[0].get_xydata(), np.c_[np.arange(200), rates])
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in (middle, lowest)]
    assert labels == [("", "accuracy"), ("step", "learning rate")]
    figure.canvas.draw()
    assert len({axes.get_xlim() for axes in figure.axes}) == 1


def test_a_run_without_a_step_is_refused():
    with pytest.raises(ValueError, match="at least one step"):
        training.curve(np.zeros(0))


@pytest.mark.parametrize(
    "figure",
    [
        lambda: training.curve(np.full(30, np.nan), learning_rates=np.ones(30)),
        lambda: training.curve(np.ones(1)),
        lambda: training.curve(np.ones(9), validation=(jnp.array([9]), jnp.array([jnp.nan]))),
        lambda: training.curve(np.ones(9), validation=(jnp.array([9]), jnp.ones(1)), best=0),
    ],
)
def test_edges_are_drawn(figure):
    figure().savefig(io.BytesIO())
