"""Figures of images: the worst judged come first, the heaviest units come first."""

import io

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import log_loss

from mlmath.plot import images

RNG = np.random.default_rng(0)
PICTURES = RNG.uniform(size=(9, 4, 3))
Y = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2])
P = RNG.dirichlet(np.ones(3), 9)
WEIGHTS = RNG.normal(size=(6, 12)) * np.array([3, 1, 6, 2, 5, 4])[:, None]


def shown(figure):
    """Axes that hold an image, in the order in which they are read."""
    return [axes for axes in figure.axes if axes.images and axes.get_title()]


def pictures(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in shown(figure)]


def titles(figure):
    return [axes.get_title() for axes in shown(figure)]


def test_the_largest_losses_come_first():
    losses = [log_loss([label], [p], labels=[0, 1, 2]) for label, p in zip(Y, P, strict=True)]
    order = sorted(range(9), key=lambda i: -losses[i])
    figure = images.worst_judged(PICTURES, Y, P, shown=5)
    np.testing.assert_array_equal(pictures(figure), PICTURES[order[:5]])
    assert [title.split("\n")[0] for title in titles(figure)] == [f"row {i}" for i in order[:5]]


def test_a_title_says_observed_predicted_and_its_probability():
    p = np.array([[0.8, 0.2, 0], [0.3, 0.6, 0.1], [0.1, 0.875, 0.025]])
    figure = images.worst_judged(PICTURES[:3], np.array([1, 1, 2]), p, names=["cat", "dog", "eel"])
    assert titles(figure) == ["row 2\neel → dog, 88%", "row 0\ndog → cat, 80%", "row 1\ndog, 60%"]
    colors = [axes.title.get_color() for axes in shown(figure)]
    assert colors == ["tab:red", "tab:red", "black"]
    plain = images.worst_judged(PICTURES[:3], jnp.array([1.0, 1.0, 2.0]), jnp.asarray(p), shown=1)
    assert titles(plain) == ["row 2\n2 → 1, 88%"]


def test_a_probability_of_0_is_the_largest_loss_and_ties_keep_their_order():
    p = np.array([[0.5, 0.5], [1, 0], [1, 0]])
    found = titles(images.worst_judged(PICTURES[:3], np.ones(3), p))
    assert [title[:5] for title in found] == ["row 1", "row 2", "row 0"]


def test_a_row_of_weight_0_is_absent_and_one_without_a_probability_is_counted():
    p, weight = P.copy(), np.ones(9)
    p[[2, 4]], weight[[4, 5]] = np.nan, 0
    figure = images.worst_judged(PICTURES, Y, p, sample_weight=weight)
    assert {int(title.split()[1]) for title in titles(figure)} == {0, 1, 3, 6, 7, 8}
    assert "1 rows without a finite probability" in figure.get_suptitle()
    assert "without" not in images.worst_judged(PICTURES, Y, P).get_suptitle()


def test_units_are_images_in_the_order_of_their_norms_around_0():
    figure = images.first_layer(jnp.asarray(WEIGHTS), (4, 3), shown=4)
    order = sorted(range(6), key=lambda unit: -sum(x**2 for x in WEIGHTS[unit]))[:4]
    assert titles(figure) == [f"unit {unit}" for unit in order]
    np.testing.assert_allclose(pictures(figure), WEIGHTS[order].reshape(4, 4, 3))
    most = np.abs(WEIGHTS[order]).max()
    for axes in shown(figure) + shown(images.first_layer(-WEIGHTS, (4, 3), shown=4)):
        assert axes.images[0].get_clim() == (-most, most)
        np.testing.assert_allclose(axes.images[0].cmap(0.5)[:3], 0.97, atol=0.01)
    assert figure.get_suptitle().startswith("4 of 6 units")


def test_a_shape_that_is_not_the_image_is_refused():
    with pytest.raises(ValueError, match=r"\(4, 4\) must have as many pixels .* columns, 12"):
        images.first_layer(WEIGHTS, (4, 4))


@pytest.mark.parametrize(
    "figure",
    [
        lambda: images.worst_judged(PICTURES, Y, P * np.nan),
        lambda: images.worst_judged(PICTURES, Y, P, shown=0),
        lambda: images.worst_judged(PICTURES, Y, P),
        lambda: images.first_layer(WEIGHTS * 0, (4, 3)),
        lambda: images.first_layer(WEIGHTS[:0], (4, 3)),
    ],
)
def test_edges_are_drawn(figure):
    figure().savefig(io.BytesIO())
