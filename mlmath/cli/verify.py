"""``mlmath verify RUN DATA``: compute certificate and score again, in float64, from the saved file.

The examples are the rows of DATA rounded to the dtype θ was fitted in, put through the saved
transformation; from here on all is float64. With L the objective of the method, L₀ that of the
model that knows nothing, and θ̂ a new fit with the gap g(θ̂) of its own certificate,

    (L(θ) − L(θ̂))/L₀  ≤  (L(θ) − L*)/L₀  ≤  min { (L(θ) − L(θ̂))/L₀ + g(θ̂), L(θ)/L₀ }      (1)

for no objective of the shell is below 0. ``run.json`` claims L(θ) and a gap. With ε of the dtype of
the run and ε′ of float64 the claim holds if

    |claimed L − L(θ)| ≤ ε (4 max(L(θ), L₀) + ν)                                (2)
    right side of (1) ≤ claimed gap + 4ε + ε′ν/L₀                               (3)
    ν = √n max(L(θ), L₀) + 4 (Σᵢ ρᵢ²)^½,    ρᵢ = Σⱼ |xᵢⱼ ∂L/∂xᵢⱼ| + |yᵢ ∂L/∂yᵢ|    (4)

where √n is how the rounding of a sum over the n rows grows, and ρᵢ what that of row i does to L: it
is large where numbers lie far from 0 beside how they vary. The new fit stops by the defaults, not
by the run's ``tolerance`` and ``max_steps``, which do not move L*. The held-out score that ``mlmath
fit`` reports is of another fit, which is not saved: it is not verified.

A network is not refitted: its gap, the relative gradient g(θ) on the rows that were not held
out, is computed again and in the place of both sides of (1) there is

    g(θ) / (1 + √ε)                                                             (5)

Of another table (another SHA-256) there is a score, but the claim is not about its rows: it is
neither true nor false, and the exit code, 3, is neither of these.
"""

import json
import math
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from mlmath.cli import display, flags, saved
from mlmath.cli.refusal import Refusal

__all__ = ["Claim", "Evidence", "judge", "run"]

_OPTIONS = [
    saved.FOLDER,
    flags.Option(
        "data", str, "the table it was fitted to; another one is scored, and verifies nothing",
        metavar="DATA", positional=True,
    ),
    flags.Option("json", bool, "print one JSON document instead of a table", False),
]  # fmt: skip

_ABOUT = """Compute certificate and score of a saved run again, in float64, from its file alone.

Exit codes: 0, what run.json claims holds; 1, it does not hold; 2, RUN or DATA is refused; 3, not
verified, as DATA is not the table that was fitted (another SHA-256)."""

_STOPPING = ("tolerance", "max_steps")


class Claim(NamedTuple):
    """What ``run.json`` says of the answer."""

    objective: float
    gap: float


class Evidence(NamedTuple):
    """What float64 says of the saved parameters."""

    objective: float  # L(θ)
    null: float  # L₀
    least_gap: float  # left side of (1)
    gap: float  # right side of (1)
    rounding: float  # ν


def run(words: Sequence[str]) -> int:
    """Run ``mlmath verify``: 0 if the claim holds, 1 if not, 3 if the table is another one."""
    options = flags.parse("mlmath verify", _ABOUT, _OPTIONS, words)
    known = saved.read(options.run)
    if known.method.unjudged:
        why = f"{known.record['model']} {known.method.unjudged}"
        raise Refusal(f"`mlmath verify` judges a prediction that was fitted, and {why}.")
    claim = _claim(known)
    from mlmath.data.errors import InputError

    try:
        found = _verify(options, known, claim)
    except InputError as error:
        raise Refusal(str(error)) from None
    if options.json:
        print(json.dumps(_plain(found), indent=2, ensure_ascii=False), flush=True)
    else:
        display.facts(f"{known.record['model']} of {options.run}", _facts(found))
    if found["why"]:
        print("mlmath:", display.printable(found["why"]), file=sys.stderr)
    return {True: 0, False: 1, None: 3}[found["holds"]]


def judge(claim: Claim, evidence: Evidence, precision: float) -> str:
    """Sentence that says what does not hold by (2) and (3), empty if all does.

    ``precision`` is ε of the dtype of the run.

    >>> judge(Claim(2.0, 0.0), Evidence(2.0, 4.0, 0.0, 0.25, 12.0), 2.0**-52)
    'run.json claims a gap of 0.0e+00, but a new fit in float64 proves 2.5e-01 only.'
    """
    largest = max(evidence.objective, evidence.null)
    off = abs(claim.objective - evidence.objective)
    if not off <= precision * (4 * largest + evidence.rounding) < math.inf:
        return (
            f"run.json claims the objective {claim.objective:.12g}, but at the saved parameters "
            f"it is {evidence.objective:.12g} ({off:.1e} away)."
        )
    own = sys.float_info.epsilon * evidence.rounding / (evidence.null or 1.0)
    most = claim.gap + 4 * precision + own
    if evidence.gap <= most:
        return ""
    if evidence.least_gap > most:
        shown = f"that of the saved parameters is {evidence.least_gap:.1e} at least"
    else:
        shown = f"a new fit in float64 proves {evidence.gap:.1e} only"
    return f"run.json claims a gap of {claim.gap:.1e}, but {shown}."


def _claim(known):
    certificate = known.record.get("certificate")
    found: list[Any] = [None]
    if isinstance(certificate, dict):
        found = [certificate.get(name) for name in Claim._fields]
    if not all(type(v) in (int, float) and abs(v) <= sys.float_info.max for v in found):
        raise saved.damaged(known.folder, "certificate")
    return Claim(*[float(v) for v in found])


def _verify(options, known, claim):
    from mlmath.data import readers

    source = readers.read(options.data)
    rows = saved.examples(known, source.table)
    fitted = source.sha256 == known.record["data"].get("sha256")
    problem = saved.problem(known, rows)
    found = {
        "run": str(options.run), "data": source.name, "fitted_to_it": fitted, "rows": len(rows.y),
        "rows_of_the_fit": known.record.get("rows_fitted") if known.method.driver else None,
        "rows_left_out": rows.height - len(rows.y), "claimed": None, "computed": None,
        "holds": None, "why": f"not verified: '{options.data}' is not the table that was fitted "
        f"(its SHA-256 differs), and run.json makes its claim about that one.",
    }  # fmt: skip
    import numpy as np

    if not fitted and not np.isfinite(problem.predicted).all():
        raise Refusal("a prediction is not finite: a number in the table is too large.")
    if fitted:
        evidence = _evidence(known, problem)
        precision = float(np.finfo(known.record["dtype"]).eps)
        found["why"] = judge(claim, evidence, precision)
        found["claimed"], found["computed"] = claim._asdict(), evidence._asdict()
        found["holds"] = not found["why"]
    found["score"] = _score(known, problem, rows)
    return found


def _evidence(known, problem):
    """L(θ), L₀, both sides of (1), and ν."""
    import jax
    import numpy as np

    from mlmath.compiled import compiled

    X, y, weight = problem.rows
    program = compiled()(problem.module.objective)

    def objective(theta):
        return float(program(theta, X, y, sample_weight=weight, **problem.numbers))

    nothing = jax.tree.map(np.zeros_like, problem.theta)
    if known.method.task == "number":
        nothing = nothing._replace(bias=np.asarray(weight @ y / weight.sum()))
    value, null = objective(problem.theta), objective(nothing)
    if not null > 0:
        return Evidence(value, null, 0.0, math.inf, 0.0)
    least, bound = _gaps(known, problem, value, objective, null)
    by_x, by_y = compiled()(jax.grad(problem.module.objective, argnums=(1, 2)))(
        problem.theta, X, y, sample_weight=weight, **problem.numbers
    )
    moved = np.abs(X * by_x).sum(axis=1) + np.abs(y * by_y)
    rounding = math.sqrt(weight.astype(bool).sum()) * max(value, null) + 4 * np.linalg.norm(moved)
    return Evidence(value, null, least, max(float(bound), 0.0), float(rounding))


def _gaps(known, problem, value, objective, null):
    """Both sides of (1) or, of a network, (5)."""
    import numpy as np

    X, y, weight = problem.rows
    if known.method.driver:
        proof = problem.module.certificate(
            problem.theta, X, y, sample_weight=weight, **problem.numbers
        )
        gap = float(proof.gap) / (1 + math.sqrt(np.finfo(known.record["dtype"]).eps))
        return gap, gap
    values = {k: v for k, v in known.values.items() if k not in _STOPPING}
    again = problem.module.fit(X, y, sample_weight=weight, **values)
    least = (value - objective(again.params)) / null
    return least, np.fmin(least + float(again.certificate.gap), value / null)


def _score(known, problem, rows):
    """Scores beside those of the mean, or the frequencies, of the rows themselves."""
    import numpy as np

    from mlmath.cli import scores

    y, weight = rows.y, rows.weight
    if not known.labels:
        mean = float(weight @ y / weight.sum())
        with np.errstate(over="ignore", invalid="ignore"):  # tampered parameters know no bounds
            return scores.of_numbers(problem.predicted, y, weight, mean)
    frequencies = np.bincount(y.astype(int), weight, len(known.labels)) / weight.sum()
    score = scores.of_classes(saved.probabilities(problem.predicted), y, weight, frequencies)
    if known.method.task == "two sides":  # an answer without a probability has no log loss
        score = {k: v for k, v in score.items() if "log_loss" not in k}
    return score


def _plain(found):
    """With None for numbers that JSON does not know."""
    if isinstance(found, dict):
        return {name: _plain(value) for name, value in found.items()}
    return None if isinstance(found, float) and not math.isfinite(found) else found


def _facts(found):
    from mlmath.cli import scores

    left_out = f", {found['rows_left_out']} left out" if found["rows_left_out"] else ""
    fitted = found["rows_of_the_fit"]
    some = f"{fitted} of them were fitted" if fitted else "those that were fitted"
    kind = some if found["fitted_to_it"] else "not those that were fitted"
    facts = {"data": f"{found['data']}: {found['rows']} rows{left_out}; {kind}"}
    if found["fitted_to_it"]:
        claimed, computed = found["claimed"], found["computed"]
        facts["objective"] = f"{computed['objective']:.12g}, claimed {claimed['objective']:.12g}"
        facts["gap"] = f"at most {computed['gap']:.1e}, claimed {claimed['gap']:.1e}"
        facts["score on these rows"] = scores.sentence(found["score"])
        facts["claim"] = f"does NOT hold: {found['why']}" if found["why"] else "holds"
    else:
        facts["score on these rows"] = scores.sentence(found["score"])
        facts["claim"] = found["why"]
    return facts
