from mlmath.nearest import hint


def test_a_near_name_is_suggested_and_a_far_one_is_not():
    assert hint("A", ["a"], "look.") == "did you mean 'a'?"
    assert hint("rigde", ["lasso", "ridge"], "look.") == "did you mean 'ridge'?"
    assert hint("-l2", ["--help", "--l2"], "look.") == "did you mean '--l2'?"
    assert hint("--alpha", ["--help", "--l2"], "look.") == "look."  # dashes are no likeness
    assert hint("zebra", ["lasso", "ridge"], "look.") == "look."
