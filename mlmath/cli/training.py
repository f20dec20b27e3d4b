"""Train a network for the shell: which rows for what, the rounds of the driver, the score.

The rows are split once by the seed: a fifth is held out and scores, with a patience a tenth of the
others validates, the rest is fitted. What is learnt from the table before training, the fillings of
gaps and the standard units, is learnt from the rows that are fitted.
"""

import math
import os
import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from mlmath.cli import fit, progress
from mlmath.cli.refusal import Refusal

__all__ = ["Driven", "Ready", "Trained", "mean", "prepare", "train", "validating"]

_WINDOW = 100  # losses that show where a run is


class Ready(NamedTuple):
    """A network before its training, and which rows are for what."""

    gathered: Any  # examples.Examples, with fillings from the rows that are fitted
    held: Any  # mask of the rows that score
    weight: Any  # of the rows that are fitted
    given: Any  # networks.Prepared
    training: Any  # networks.Training


class Driven(NamedTuple):
    """A run at its end."""

    state: Any  # scale.training.State
    entries: list[dict[str, Any]]  # of the journal
    remarks: list[str]
    seconds: float  # for the steps of this process


class Trained(NamedTuple):
    """A network, how it came about, and how it does on rows that it did not see."""

    outcome: fit.Outcome
    ready: Ready
    driven: Driven


def prepare(gathered: Any, options: Any, values: dict[str, Any], dtype: str) -> Ready:
    """Split the rows by the seed, draw the network and put the examples into its units.

    Raises:
        Refusal: if there are too few rows, or numbers that ``dtype`` does not hold.
    """
    import numpy as np

    from mlmath.cli import networks, scores
    from mlmath.data import columns as tables

    rate, limits = values["learning_rate"], np.finfo(dtype)
    if not float(limits.tiny) <= rate <= float(limits.max):
        raise Refusal(f"--learning-rate {rate:.12g} is 0 or infinite in {dtype}; take another.")
    classes = len(gathered.labels)
    held = scores.held_out(gathered.y, classes, options.seed)
    kept = np.where(held, 0, gathered.weight)
    early = validating(gathered.y, kept, classes, options.seed, values["patience"])
    weight = np.where(early, 0, kept)
    if options.missing == "mean":  # what fills a gap is learnt, so it may not see other rows
        filled = tables.fill(gathered.columns, gathered.features, weight=weight)
        gathered = gathered._replace(columns=filled)
    architecture = networks.Architecture(
        tuple(values["hidden"]), values["activation"], classes, options.seed
    )
    _refuse_too_large(
        len(tables.names(gathered.columns)), max(classes, 1), values, limits.bits // 8
    )
    given = networks.prepared(architecture, gathered, weight, options.raw, dtype)
    training = networks.training(architecture, given, np.where(early, kept, 0), values)
    return Ready(gathered, held, weight, given, training)


def train(
    ready: Ready, options: Any, values: dict[str, Any], folder: Path | None, remarks: list[str]
) -> Trained:
    """Train from the last checkpoint in ``folder``, and score.

    Raises:
        Refusal: if the loss or the network leaves the finite numbers.
    """
    import jax
    import numpy as np

    from mlmath.cli import judging, networks

    began = time.perf_counter()
    driven = _drive(ready.training, values, folder, remarks)
    seconds = [time.perf_counter() - began, driven.seconds]
    state, best = driven.state, values["patience"] is not None
    net = state.best.params if best else state.run.params
    proof = ready.training.certify(net, state.run.optimizer.taken)
    certificate = {k: np.asarray(v).item() for k, v in proof._asdict().items()}
    params = networks.with_net(ready.given.params, options.raw, net)
    rows: Any = None
    score: dict[str, float] = {}
    if ready.held.any():
        dtype = str(ready.given.rows.X.dtype)
        rows, score = judging.judge(ready.given.composed, params, ready.gathered, ready.held, dtype)
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves([params, certificate, score])):
        raise Refusal(
            "the network came to numbers that are not finite; lower --learning-rate or --l2, or "
            "scale the columns."
        )
    return Trained(fit.Outcome(params, certificate, score, rows, seconds), ready, driven)


def validating(y: Any, kept: Any, classes: int, seed: int, patience: int | None) -> Any:
    """A tenth of the rows that are kept, of each class alike, where there is something to wait for.

    Raises:
        Refusal: if there are too few.
    """
    import numpy as np

    from mlmath.cli import scores

    chosen = np.zeros(len(y), bool)
    if patience is None:
        return chosen
    rows = np.flatnonzero(kept > 0)
    if len(rows) < 20:
        raise Refusal(f"--patience needs 20 rows that are not held out, there are {len(rows)}.")
    chosen[rows[scores.held_out(y[rows], classes, seed + 1, share=10)]] = True
    return chosen


def mean(entries: list[dict[str, Any]]) -> float | None:
    """Mean of the losses that are finite; None if there is none."""
    known = [entry["loss"] for entry in entries if entry["loss"] is not None]
    losses = [loss for loss in known if math.isfinite(loss)]
    return sum(losses) / len(losses) if losses else None


def _refuse_too_large(inputs, outputs, values, size):
    """Weights, gradients and two moments, and the layers of a batch, beside the memory there is."""
    sizes = [inputs, *values["hidden"], outputs]
    weights = sum((i + 1) * o for i, o in pairwise(sizes))
    needed = size * (4 * weights + 2 * values["batch_size"] * sum(sizes))
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise Refusal(
            f"training takes {needed / 2**30:,.0f} GB at least, and there are "
            f"{there / 2**30:,.0f}; take smaller --hidden or --batch-size."
        )


def _drive(training, values, folder, remarks):
    """Take the run to its end, with a bar; what cannot be read or written is a remark."""
    from mlmath.scale import journal
    from mlmath.scale import training as driver

    state, entries, seconds = driver.begin(training.state), [], 0.0
    if folder is not None:
        state, found = driver.resume(folder, training.state)
        entries = journal.read(folder / driver.JOURNAL)
        remarks = [*remarks, *found]
    for remark in remarks:
        print(f"mlmath: {remark}", file=sys.stderr)
    patience, steps = values["patience"], values["steps"]
    validate = None if patience is None else training.validate
    options = {"chunk": values["chunk"], "validate": validate, "patience": patience}
    with progress.bar(steps) as draw:
        for chunk in driver.run(training.advance, state, steps=steps, folder=folder, **options):
            state, seconds = chunk.state, seconds + chunk.seconds
            entries += chunk.entries
            for remark in chunk.remarks:
                _say(remark, remarks)
            remarks = [*remarks, *chunk.remarks]
            draw(int(state.run.step), partial(_words, chunk, training.rate))
            if len(entries) >= _WINDOW:
                _refuse_divergence(entries, state)
    _refuse_divergence(entries, state)
    return Driven(state, entries, remarks, seconds)


def _say(remark, before):
    """At once, and once for each kind: a disk may be full for a long time."""
    kind = remark.partition(" of step ")[0]
    if not any(said.startswith(kind) for said in before):
        print(f"mlmath: {remark}", file=sys.stderr, flush=True)


def _words(chunk, rate):
    """Loss, learning rate and speed, for the bar."""
    last, loss = chunk.entries[-1], mean(chunk.entries)
    words = ["no finite loss" if loss is None else f"loss {loss:.3g}"]
    if "validation" in last:
        words.append(f"validation {last['validation']:.3g}")
    speed = len(chunk.entries) / chunk.seconds
    words += [f"rate {rate(last['step'] - 1):.2g}", f"{speed:,.0f} steps/s"]
    return ", ".join(words)


def _refuse_divergence(entries, state):
    """The last losses show whether the numbers were left; the guard, whether a step was taken."""
    last = entries[-_WINDOW:]
    if last and mean(last) is None:
        raise Refusal(
            f"none of the last {len(last)} losses is finite; lower --learning-rate, or scale the "
            "columns."
        )
    if not int(state.run.optimizer.taken):
        raise Refusal(
            "no step could be taken, for each would have left the finite numbers; lower "
            "--learning-rate."
        )
