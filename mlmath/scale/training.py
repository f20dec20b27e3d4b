"""The training driver: a long run as compiled chunks of steps, and a host that looks in between.

A run is a state θₜ, … and a pure function that takes it c steps on in one compiled program,

    (stateₜ₊c, losses) = advance(stateₜ, steps=c)                               (1)

as ``optimize.stochastic.run`` does. After each chunk the host takes the validation loss v, keeps
the parameters where it was least, and stops when it has not fallen for a while:

    t* = argmin v(θₜ) over the ends of chunks so far,  stop when t − t* ≥ patience      (2)

Then it appends the losses to a journal, writes a checkpoint and yields the chunk, so that who
iterates draws progress or breaks off. All that (1) and (2) need is in the :class:`State` and goes
into the checkpoint: a run that is killed at any moment and resumed ends in the same bits
as one that was not, on one machine and version. Where it was killed before its first checkpoint it
begins again. What cannot be written is a remark of the chunk, not the end of the run: the entries
are written with those of the next chunk, and no checkpoint before them.

>>> import tempfile
>>> from functools import partial
>>> from pathlib import Path
>>> import jax, jax.numpy as jnp
>>> from mlmath.optimize import first_order, stochastic
>>> from mlmath.scale import training
>>> X = jax.random.normal(jax.random.key(0), (200, 2))
>>> y, optimizer = X @ jnp.array([1.0, -2.0]), first_order.adam(0.1)
>>> def advance(state, steps):
...     return stochastic.run(lambda w, x, y: (w @ x - y) ** 2, optimizer, state, X, y, steps=steps)
>>> start = stochastic.init(jax.random.key(1), jnp.zeros(2), optimizer)
>>> folder = Path(tempfile.mkdtemp())
>>> for chunk in training.run(advance, training.begin(start), steps=200, folder=folder):
...     break  # killed after the first chunk of 100 steps
>>> resumed = training.resume(folder, start)
>>> for chunk in training.run(advance, resumed.state, steps=300, folder=folder):
...     pass
>>> print(int(resumed.state.run.step), int(chunk.state.run.step), chunk.state.run.params.round(2))
100 300 [ 1. -2.]

References:
    Prechelt (1998), Early stopping — but when?, §2 (the criterion UP, here with patience in steps).
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from mlmath.scale import checkpoints, files, journal

__all__ = ["JOURNAL", "Best", "Chunk", "Resumed", "State", "begin", "resume", "run"]

JOURNAL = "losses.jsonl"


class Best(NamedTuple):
    """Record of early stopping."""

    params: Any  # θ at t*
    loss: Any  # v there, ∞ before the first
    step: Any  # t*


class State(NamedTuple):
    """Position of a run, all that is saved."""

    run: Any  # what (1) advances; has ``params`` and ``step``
    best: Best


class Chunk(NamedTuple):
    """What happened in a chunk."""

    state: State
    entries: list[dict[str, Any]]  # of the journal, the loss of each step and v at its end
    seconds: float  # for the steps alone
    remarks: tuple[str, ...]  # what could not be written, one sentence each


class Resumed(NamedTuple):
    """Where a run goes on."""

    state: State
    remarks: tuple[str, ...]  # what could not be read, one sentence each


def begin(state: Any) -> State:
    """Position 0 of a run whose ``params`` have not been judged."""
    params = state.params
    return State(state, Best(params, jnp.asarray(jnp.inf), jnp.zeros((), jnp.int32)))


def resume(folder: Path, state: Any) -> Resumed:
    """Go back to the newest sound checkpoint, or without one to the first ``state``.

    What was half-written, and what the journal says of later steps, is removed.

    Raises:
        OSError: if the folder cannot be written.
    """
    files.clear(folder)
    found = checkpoints.latest(folder, begin(state))
    journal.trim(folder / JOURNAL, found.step or 0)
    if found.state is None:
        again = ("no checkpoint could be used; the run begins again.",) if found.remarks else ()
        return Resumed(begin(state), (*found.remarks, *again))
    return Resumed(found.state, found.remarks)


def run(
    advance: Callable[..., Any],
    state: State,
    *,
    steps: int,
    chunk: int = 100,
    validate: Callable[[Any], Any] | None = None,
    patience: int | None = None,
    folder: Path | None = None,
) -> Iterator[Chunk]:
    """Take a run to step ``steps``, or until (2) stops it, and yield after each chunk.

    Args:
        advance: (1), called as ``advance(state, steps=c)``.
        state: from :func:`begin` or :func:`resume`.
        steps: T, counted from the beginning of the run.
        chunk: c; the last chunk may be shorter.
        validate: v, of the parameters; without it (2) does nothing.
        patience: in steps; never stops before T if None.
        folder: for the journal and the checkpoints; nothing is written if None.

    Raises:
        ValueError: if ``chunk`` or ``patience`` is below 1.
    """
    for name, value in (("chunk", chunk), ("patience", patience)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")
    pending: list[dict[str, Any]] = []
    while (done := int(state.run.step)) < steps and not _exhausted(state, validate, patience):
        began = time.perf_counter()
        position, losses = advance(state.run, steps=min(chunk, steps - done))
        losses = np.asarray(losses)  # waits for them
        seconds = time.perf_counter() - began
        validation = None if validate is None else float(validate(position.params))
        state = State(position, _judged(state.best, position, validation))
        entries = _entries(done, losses, validation)
        pending, remarks = (
            ([], ()) if folder is None else _written(folder, state, pending + entries)
        )
        yield Chunk(state, entries, seconds, remarks)


def _exhausted(state, validate, patience):
    waited = int(state.run.step) - int(state.best.step)
    return validate is not None and patience is not None and waited >= patience


def _judged(best, position, validation):
    """Eq. (2); NaN is no record."""
    if validation is None or not validation < best.loss:
        return best
    return Best(position.params, jnp.asarray(validation, best.loss.dtype), position.step)


def _entries(done, losses, validation):
    entries = [{"step": done + k, "loss": float(loss)} for k, loss in enumerate(losses, 1)]
    if validation is not None:
        entries[-1]["validation"] = validation
    return entries


def _written(folder, state, entries):
    """Entries that could not be written, and remarks; a checkpoint promises the lines before it."""
    last, what = int(state.run.step), "losses"
    try:
        journal.append(folder / JOURNAL, entries)
        entries, what = [], "checkpoint"
        checkpoints.save(folder, state, last)
    except OSError as error:
        return entries, (f"the {what} of step {last} could not be written ({error.strerror}).",)
    return entries, ()
