import numpy as np

from mlmath.cli import figures


def test_a_number_and_two_classes_are_drawn_and_named():
    y = np.array([1.0, 2.0, 3.0])
    drawn = figures.number(figures.Held(y, y, [], "mass"))
    assert list(drawn) == ["Held-out rows: predicted against observed mass"]
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    drawn |= figures.two(figures.Held(p, np.array([0.0, 1.0, 0.0]), ["no", "yes"], "ill"))
    assert "Held-out rows: predicted probability of ill = yes" in drawn
    assert len(drawn) == 3
    assert all(image.startswith(b"\x89PNG") for image in drawn.values())


def test_several_classes_are_drawn_as_a_confusion_matrix():
    p = np.full((2, 3), 1 / 3)
    drawn = figures.several(figures.Held(p, np.array([0.0, 1.0]), ["a", "b", "c"], "kind"))
    assert list(drawn) == ["Held-out rows: kind observed and predicted"]
