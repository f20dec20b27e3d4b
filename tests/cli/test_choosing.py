"""The search at the end of the tour says what it did."""

import re

from mlmath.cli import choosing


def test_one_call_and_the_loop_give_the_same_scores_and_the_best_is_named():
    section = choosing.section(0, "float64")
    fits = section.facts["500 fits in one call"]
    loop = section.facts["the same fits in a Python loop"]
    assert float(re.match(r"[\d.]+", fits)[0]) < float(re.match(r"[\d.]+", loop)[0])
    assert float(re.search(r"differ by (\S+) at most", loop)[1]) < 1e-6
    best, simple = (
        re.match(r"l2 = (\S+): log loss (\S+) ± (\S+)", section.facts[name])
        for name in ("best", "one-standard-error choice")
    )
    assert float(best[2]) <= float(simple[2]) <= float(best[2]) + float(best[3]) + 1e-4
    assert float(simple[1]) >= float(best[1])
    assert float(best[2]) < 0.1  # the frequencies alone have 0.66
    (image,) = section.figures.values()
    assert image.startswith(b"\x89PNG")
