import numpy as np

from mlmath.cli import figures


def test_a_number_and_two_classes_are_drawn_and_named():
    y = np.array([1.0, 2.0, 3.0])
    drawn = figures.number(figures.Held(y, y, [], "mass", np.ones(3)))
    assert list(drawn) == ["Held-out rows: predicted against observed mass"]
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    drawn |= figures.two(
        figures.Held(p, np.array([0.0, 1.0, 0.0]), ["no", "yes"], "ill", np.ones(3))
    )
    assert "Held-out rows: predicted probability of ill = yes" in drawn
    assert len(drawn) == 3
    assert all(image.startswith(b"\x89PNG") for image in drawn.values())


def test_several_classes_are_drawn_as_a_confusion_matrix():
    p, weight = np.full((2, 3), 1 / 3), np.ones(2)
    drawn = figures.several(figures.Held(p, np.array([0.0, 1.0]), ["a", "b", "c"], "kind", weight))
    assert list(drawn) == ["Held-out rows: kind observed and predicted"]


def test_figures_weigh_the_held_out_rows_as_the_score_does():
    p, y = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]]), np.array([0.0, 1.0, 1, 0])
    weight = np.array([2, 1, 3, 0])
    for draw, predicted, labels in (
        (figures.several, p, ["no", "yes"]), (figures.two, p, ["no", "yes"]),
        (figures.number, p[:, 1], []),
    ):  # fmt: skip
        weighted = draw(figures.Held(predicted, y, labels, "t", weight.astype(float)))
        repeated = draw(
            figures.Held(predicted.repeat(weight, 0), y.repeat(weight), labels, "t", np.ones(6))
        )
        if draw is not figures.number:  # whose points lie on each other, and are transparent
            assert weighted == repeated
        assert weighted != draw(figures.Held(predicted, y, labels, "t", np.ones(4)))
