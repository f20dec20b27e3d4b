"""A run that is killed at a named moment: ``python -m tests.scale.killed FOLDER MOMENT``.

It resumes what is in the folder. A run that comes to its end prints a digest of all it came to.
"""

import hashlib
import os
import signal
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mlmath.optimize import first_order, stochastic
from mlmath.scale import checkpoints, files, journal, training

STEPS, CHUNK = 3000, 50
_calls: dict[str, int] = {}


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def fatal(function, on, *, after=False):
    """The function, which dies in its call number ``on``, at the end of it or before it."""

    def called(*args, **kwargs):
        _calls[function.__name__] = _calls.get(function.__name__, 0) + 1
        last = _calls[function.__name__] == on
        if last and not after:
            die()
        result = function(*args, **kwargs)
        if last:
            die()
        return result

    return called


def half(path, entries):
    """Half a line of the journal."""
    with path.open("a") as file:
        file.write('{"step": 1, "lo')
    die()


def loss(params, x, y):
    hidden = jnp.tanh(params["inner"] @ x)
    return (params["outer"] @ hidden - y) ** 2


def problem():
    """Rows, their targets, and the first parameters."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 12)).astype(np.float32)
    y = np.sin(X @ rng.normal(size=12)).astype(np.float32)
    inner, outer = rng.normal(size=(16, 12)) / 4, rng.normal(size=16) / 4
    return X, y, {"inner": jnp.asarray(inner, "f"), "outer": jnp.asarray(outer, "f")}


def spoil(moment):
    """Make the process die at the moment; its number says at which call."""
    name, _, number = moment.partition(":")
    on = int(number or 1)
    if name == "start":
        die()
    elif name == "timer":  # milliseconds from here: tracing, compiling, steps
        threading.Timer(on / 1000, die).start()
    elif name == "trace":
        globals()["loss"] = fatal(loss, on)
    elif name in ("before a chunk", "in a chunk"):  # which is computed while its caller dies
        stochastic.run = fatal(stochastic.run, on, after=name == "in a chunk")
    elif name in ("flush", "flushed"):
        os.fsync = fatal(os.fsync, on, after=name == "flushed")
    elif name in ("rename", "renamed"):
        os.replace = fatal(os.replace, on, after=name == "renamed")
    elif name == "prune":
        Path.unlink = fatal(Path.unlink, on)
    elif name == "half a line":
        journal.append = half
    elif name == "saved":
        checkpoints.save = fatal(checkpoints.save, on, after=True)
    elif name == "clear":
        files.clear = fatal(files.clear, on)


def main(folder, moment):
    """Resume, die at the moment, or come to the end."""
    X, y, params = problem()
    optimizer = first_order.adam(first_order.cosine_decay(0.01, steps=STEPS))
    key = jax.random.key(0)
    spoil(moment)
    resumed = training.resume(folder, stochastic.init(key, params, optimizer))

    def advance(state, steps):
        return stochastic.run(loss, optimizer, state, X[:300], y[:300], steps=steps)

    @jax.jit
    def validate(params):
        return jnp.mean(jax.vmap(loss, (None, 0, 0))(params, X[300:], y[300:]))

    state = resumed.state
    for chunk in training.run(
        advance, state, steps=STEPS, chunk=CHUNK, validate=validate, patience=STEPS, folder=folder
    ):
        state = chunk.state
    digest = hashlib.sha256((folder / training.JOURNAL).read_bytes())
    state = state._replace(run=state.run._replace(key=jax.random.key_data(state.run.key)))
    for leaf in jax.tree.leaves(state):
        digest.update(np.asarray(leaf).tobytes())
    step, best = int(state.run.step), float(state.best.loss)
    sys.stdout.write(f"{step} {best} {digest.hexdigest()}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
