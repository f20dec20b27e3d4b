"""What a fit tells people: coefficients in the units of the file, and the facts of a run."""

from typing import Any

import numpy as np

from mlmath.cli import methods

__all__ = ["coefficients", "facts"]


def coefficients(
    method: methods.Method, gathered: Any, raw: bool, params: Any
) -> dict[str, Any] | None:
    """Intercept and slopes in the units of the file, a list of one per class where several.

    ``per_standard_deviation`` is the largest change that one standard deviation of the column
    makes, or that one unit makes where the model was fitted to raw columns.
    """
    from mlmath.cli import pipeline
    from mlmath.data import columns as tables

    found = pipeline.coefficients(method, gathered.columns, raw, params)
    if found is None:
        return None
    names = tables.names(gathered.columns)
    intercept, slopes = (np.asarray(part, float) for part in found)
    sizes = pipeline.scales(raw, params, len(names))
    effects = np.abs(slopes * sizes).reshape(-1, len(names)).max(axis=0)
    return {
        "intercept": intercept.tolist(),
        "slopes": {name: slopes[..., j].tolist() for j, name in enumerate(names)},
        "per_standard_deviation": dict(zip(names, effects.tolist(), strict=True)),
    }


def facts(record: dict[str, Any], most: int = 12) -> dict[str, str]:
    """Label to value, for the terminal and the report; the ``most`` largest coefficients."""
    from mlmath.cli import scores

    left_out = f", {record['rows_left_out']} left out" if record["rows_left_out"] else ""
    held = f" fitted, {record['rows_held_out']} held out" if "training" in record else ""
    labels = f" ({', '.join(map(str, record['labels']))})" if record["labels"] else ""
    proof = {"certificate": _proof(record)} | _why(record) if record["certificate"] else {}
    return {
        "data": f"{record['data']['name']}: {record['rows_fitted']} rows{held}{left_out}, "
        f"{len(record['columns'])} columns",
        "target": record["target"] + labels,
        "held-out score": scores.sentence(record["held_out"]),
        **_training(record),
        **proof,
        "seconds": _seconds(record),
        "device": f"{record['device']}, {record['dtype']}",
    } | _coefficients(record["coefficients"], record["labels"], most)


def _seconds(record):
    seconds = record["seconds"]
    if "training" in record:
        return f"{seconds['training']:.2f}, of which {seconds['steps']:.2f} for steps"
    return f"{seconds['first']:.2f} the first fit, {seconds['again']:.3f} again"


def _training(record):
    """Where the run ended, and which of its parameters were kept."""
    taken = record.get("training")
    if taken is None:
        return {}
    refused = taken["steps"] - taken["taken"]
    left_out = f", {refused} of them refused, as they left the finite numbers" if refused else ""
    ended = f"{taken['steps']} steps{left_out}"
    if taken["last_loss"] is not None:
        ended += f", loss of the last batches {taken['last_loss']:.4g}"
    if "best_step" in taken:
        ended += (
            f"; least validation loss {taken['validation_loss']:.4g} at step {taken['best_step']}"
        )
    return {"training": ended}


def _proof(record):
    certificate = record["certificate"]
    word = "converged" if certificate["converged"] else "NOT converged"
    gap, steps = certificate["gap"], certificate["steps"]
    if "training" in record:
        return f"relative gradient {gap:.1e} ({word}); without convexity no bound on the optimum"
    return f"within {gap:.1e} of the optimum ({word}, {steps} steps)"


def _why(record):
    """The likely reason where nothing is proved, and the flag that helps."""
    if record["certificate"]["converged"] or record.get("hyperparameters", {}).get("l2") != 0:
        return {}
    if "training" in record:
        return {}
    swept = "l2" in record.get("sweep", {}).get("over", {})
    zero, more = ("l2 = 0", "--over l2 from 0.001 up") if swept else ("--l2 0", "--l2 0.001")
    return {
        "why": f"with {zero} the objective may be flat, or fall without a minimiser, in some "
        f"direction; {more} gives it a minimiser"
    }


def _coefficients(found, labels, most):
    """The largest by what a standard deviation of the column changes."""
    if found is None:
        return {}
    effects = found["per_standard_deviation"]
    largest = sorted(effects, key=lambda name: -effects[name])[:most]
    listed = {f"× {name}": _numbers(found["slopes"][name]) for name in largest}
    more = len(effects) - len(largest)
    head = {"coefficients of": ", ".join(map(str, labels))} if len(labels) > 2 else {}
    head["intercept"] = _numbers(found["intercept"])
    return head | listed | ({"": f"and {more} more in run.json"} if more else {})


def _numbers(value):
    return ", ".join(f"{v:.6g}" for v in value) if isinstance(value, list) else f"{value:.6g}"
