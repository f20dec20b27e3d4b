"""Figures of principal components show what is explained, at which places, and of which columns."""

import io

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.colors import to_hex
from sklearn.decomposition import PCA

from mlmath.data import datasets
from mlmath.plot import components

RNG = np.random.default_rng(0)
VARIANCES = np.array([4.0, 2.0, 1.0, 0.9, 0.1])
SCORES = RNG.normal(size=(30, 2)) * [3, 1]
DIRECTIONS = np.linalg.qr(RNG.normal(size=(5, 2)))[0].T
NAMES = ["length", "width", "depth", "a rather long name", "m"]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def arrows(axes):
    return {tuple(a.xy): tuple(a.get_position()) for a in axes.texts if hasattr(a, "xy")}


def names(axes):
    return {t.get_text(): t for t in axes.texts if t.get_text()}


def pictures(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes]


def test_bars_are_variances_and_the_line_is_the_share_of_the_first_k():
    above, below = components.scree(jnp.asarray(VARIANCES), total=10.0).axes
    assert [bar.get_height() for bar in above.patches] == pytest.approx(VARIANCES)
    assert [bar.get_x() + bar.get_width() / 2 for bar in above.patches] == pytest.approx(
        range(1, 6)
    )
    expected = [sum(VARIANCES[:k]) / 10 for k in range(1, 6)]
    np.testing.assert_allclose(below.lines[0].get_xydata(), np.c_[range(1, 6), expected])
    whole = components.scree(VARIANCES).axes[1].lines[0].get_ydata()
    assert whole[-1] == 1


def test_where_a_share_is_first_reached_is_said():
    figure = components.scree(VARIANCES, total=8.0, shares=(0.5, 0.75, 0.99), chosen=3)
    assert legend(figure) == [
        "50 % of the variance: the first 1",
        "75 % of the variance: the first 2",
        "99 % of the variance: the first 5",
        "kept: the first 3",
    ]
    corner = figure.axes[1].lines[2].get_xydata()
    np.testing.assert_allclose(corner, [[0.5, 0.75], [2, 0.75], [2, 0]])
    assert legend(components.scree(VARIANCES, total=10.0)) == ["50 % of the variance: the first 2"]


def test_a_row_stands_at_its_scores_and_a_column_at_its_entries():
    axes = components.biplot(SCORES, DIRECTIONS, NAMES).axes[0]
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), SCORES)
    tips = np.array([tip for tip, start in arrows(axes).items() if start == (0, 0)])
    order = np.argsort(-np.linalg.norm(DIRECTIONS, axis=0))
    alpha = max(np.linalg.norm(z) for z in SCORES) / max(np.linalg.norm(v) for v in DIRECTIONS.T)
    np.testing.assert_allclose(tips, alpha * DIRECTIONS.T[order])
    for scores in (SCORES, SCORES * [50, 0.01]):
        assert components.biplot(scores, DIRECTIONS, NAMES).axes[0].get_aspect() == 1


def test_the_arrow_tells_the_centred_column_of_data_in_a_plane():
    X = SCORES @ DIRECTIONS + RNG.normal(size=5)
    fitted = PCA(2).fit(X)
    axes = components.biplot(fitted.transform(X), fitted.components_, NAMES).axes[0]
    z = np.asarray(axes.collections[0].get_offsets())
    scale = np.linalg.norm(z, axis=1).max() / np.linalg.norm(fitted.components_, axis=0).max()
    for tip in arrows(axes):
        column = z @ np.array(tip) / scale
        assert min(np.abs(column - (X - X.mean(axis=0)).T).max(axis=1)) < 1e-9


def test_the_longest_arrows_are_drawn_and_the_rest_counted():
    figure = components.biplot(SCORES, DIRECTIONS, NAMES, shown=2)
    longest = np.argsort(-np.linalg.norm(DIRECTIONS, axis=0))[:2]
    assert set(names(figure.axes[0])) == {NAMES[j] for j in longest}
    assert legend(figure) == ["rows (30)", "2 longest of 5 columns"]


@pytest.mark.parametrize("name", ["wine", "breast_cancer"])
def test_no_name_covers_another(name):
    X, y = datasets.arrays(name)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    fitted = PCA(2).fit(X)
    columns = [c for c in datasets.load(name).columns if c != datasets.CATALOGUE[name].target]
    figure = components.biplot(fitted.transform(X), fitted.components_, columns, label=y, shown=13)
    figure.savefig(io.BytesIO())
    boxes = [t.get_window_extent() for t in names(figure.axes[0]).values()]
    assert len(boxes) == 13
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert figure.axes[0].bbox.contains(box.x0, box.y0)
        assert figure.axes[0].bbox.contains(box.x1, box.y1)


def test_labels_colour_the_rows_and_axes_say_their_share():
    label = np.arange(30) % 3
    figure = components.biplot(
        SCORES, DIRECTIONS, NAMES, label=label, labels=["x", "y", "z"],
        explained=np.array([0.5, 0.125]), numbers=(2, 4),
    )  # fmt: skip
    axes = figure.axes[0]
    assert axes.get_xlabel() == "component 2, 50 % of the variance"
    assert axes.get_ylabel() == "component 4, 12.5 % of the variance"
    assert legend(figure) == ["x (10)", "y (10)", "z (10)"]
    found = [c for c in axes.collections if len(c.get_offsets())]
    for g in range(3):
        np.testing.assert_array_equal(found[g].get_offsets(), SCORES[label == g])
    assert len({to_hex(c.get_facecolor()[0]) for c in found}) == 3


def test_a_row_of_weight_0_is_absent_from_a_biplot():
    scores, weight = SCORES.copy(), np.ones(30)
    scores[3], weight[3] = np.nan, 0
    scores[4], weight[4] = [1e6, 0], 0
    label = np.zeros(30)
    label[3] = np.nan
    one = components.biplot(scores, DIRECTIONS, NAMES, label=label, sample_weight=weight)
    rest = np.delete(SCORES, [3, 4], axis=0)
    other = components.biplot(rest, DIRECTIONS, NAMES, label=np.zeros(28))
    assert legend(one) == legend(other) == ["0 (28)"]
    assert arrows(one.axes[0]) == arrows(other.axes[0])


def test_each_number_of_components_is_a_column_beside_the_original():
    X = RNG.uniform(size=(7, 4, 3))
    rough, fine = X + 0.5, X + RNG.normal(size=X.shape)
    figure = components.reconstructions(X, {1: rough, 20: jnp.asarray(fine)}, shown=2)
    found = pictures(figure)
    expected = [X[0], rough[0], fine[0], X[1], rough[1], fine[1]]
    assert len(found) == 6
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    root = np.sqrt(((fine - X) ** 2).mean())
    assert [axes.get_title() for axes in figure.axes[:3]] == [
        "original", "1 component\nrms error 0.5", f"20 components\nrms error {root:.3g}",
    ]  # fmt: skip
    limits = {axes.images[0].get_clim() for axes in figure.axes}
    assert limits == {(X[:2].min(), X[:2].max())}


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: components.scree(VARIANCES[:0]), "one component at least"),
        (lambda: components.biplot(SCORES, DIRECTIONS, NAMES[:3]), "columns of .*, 5, got 3"),
        (
            lambda: components.biplot(SCORES[:, :1], DIRECTIONS[:1], NAMES),
            r"two coordinates in each row, got the shape \(30, 1\)",
        ),
        (lambda: components.reconstructions(np.ones((0, 2, 2)), {}), "one image at least"),
        (
            lambda: components.reconstructions(np.ones((3, 2, 2)), {4: np.ones((3, 2, 3))}),
            r"\(3, 2, 2\), got \(3, 2, 3\) for 4 components",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.parametrize(
    "figure",
    [
        lambda: components.scree(np.zeros(3)),
        lambda: components.scree(np.array([1.0, np.nan])),
        lambda: components.scree(np.ones(300)),
        lambda: components.biplot(SCORES[:0], DIRECTIONS, NAMES),
        lambda: components.biplot(SCORES * np.nan, DIRECTIONS, NAMES),
        lambda: components.biplot(SCORES * 0, DIRECTIONS * 0, NAMES),
        lambda: components.biplot(SCORES, np.ones((2, 5)), NAMES),
        lambda: components.biplot(SCORES, DIRECTIONS, NAMES, shown=0),
        lambda: components.biplot(np.tile(SCORES, (400, 1)) * 1e9, DIRECTIONS, NAMES),
        lambda: components.reconstructions(np.zeros((1, 2, 2)), {}),
    ],
)
def test_edges_are_drawn(figure):
    figure().savefig(io.BytesIO())
