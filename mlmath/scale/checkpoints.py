"""Checkpoints: the state of a run at a step, so that a killed run goes on from there.

A checkpoint is one file, written whole or not at all (``scale.files``), with a checksum; the two
newest are kept. The newest that is sound is what a run resumes from; one that is truncated,
altered or misnamed is passed over, with a sentence, for the one before it.

>>> import tempfile
>>> from pathlib import Path
>>> import jax.numpy as jnp
>>> from mlmath.scale import checkpoints
>>> folder, state = Path(tempfile.mkdtemp()), {"weights": jnp.ones(2)}
>>> for step in (10, 20, 30):
...     checkpoints.save(folder, state, step)
>>> path = checkpoints.paths(folder)[-1]
>>> path.name, path.write_bytes(b"")
('step-000000000030.safetensors', 0)
>>> found = checkpoints.latest(folder, state)
>>> found.step, found.remarks[0].removeprefix(f"{folder}/")
(20, 'step-000000000030.safetensors is not a safetensors file; passed over.')
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mlmath.scale import files, tensors

__all__ = ["Found", "latest", "paths", "save"]

_KEPT = 2  # the newest, and one to fall back on
_NAME = re.compile(r"step-\d{1,18}\.safetensors")


class _Content(NamedTuple):
    step: Any
    state: Any


class Found(NamedTuple):
    """What a run can resume from."""

    step: int | None  # None: from the beginning
    state: Any  # None with it
    remarks: tuple[str, ...]  # what could not be used and why, one sentence each


def save(folder: Path, state: Any, step: int) -> None:
    """Write the checkpoint of a step, and remove all but the two newest up to it.

    Raises:
        OSError: if it cannot be written; the earlier ones are as they were.
    """
    content = tensors.dump(_Content(np.int64(step), state))
    files.write(folder / f"step-{step:012}.safetensors", content)
    for path in [path for path in paths(folder) if _step(path) <= step][:-_KEPT]:
        path.unlink(missing_ok=True)


def latest(folder: Path, expected: Any) -> Found:
    """Read the newest sound checkpoint of the structure ``expected``."""
    remarks: list[str] = []
    for path in reversed(paths(folder)):
        try:
            step, state = tensors.load(path, _Content(np.int64(0), expected))
            if step != _step(path):
                raise tensors.Damaged(f"{path} is damaged: it is of step {step}.")
            return Found(_step(path), state, tuple(remarks))
        except tensors.Damaged as error:
            remarks.append(f"{str(error).rstrip('.')}; passed over.")
    return Found(None, None, tuple(remarks))


def paths(folder: Path) -> list[Path]:
    """Checkpoints in a folder, the newest last."""
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), key=_step)


def _step(path):
    return int(path.name.removeprefix("step-").removesuffix(".safetensors"))
