"""The folder of a run in progress, and its progress for people.

While a network is trained its folder holds ``training.json``, which says what is being fitted, the
journal of losses and the checkpoints. When it is done ``run.json`` is written last, and what only a
resumed run would need is removed.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlmath.cli import display, report
from mlmath.cli.refusal import Refusal

__all__ = ["bar", "describe", "finish", "finished", "folder"]

_DESCRIPTION = "training.json"


def folder(out: Path, resume: Path | None, description: dict[str, Any]) -> Path:
    """Create the folder of a run, or check that the one to resume is of the same run.

    Raises:
        Refusal: if it cannot be, or is of another run.
    """
    if resume is None:
        made = report.run_folder(out)
        describe(made, description)
        return made
    if resume.is_dir():
        from mlmath.scale import files

        files.clear(resume)  # killed before its first file had a name, a run has not begun
    if not resume.exists() or (resume.is_dir() and not any(resume.iterdir())):
        return folder(resume, None, description)
    path = resume / _DESCRIPTION
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refusal(
            f"'{resume}' holds no training to resume ({_DESCRIPTION}: {error.strerror})."
        ) from None
    except ValueError:
        raise Refusal(f"{path} is damaged: it is not JSON.") from None
    _refuse_other(resume, found, description)
    return resume


def describe(made: Path, description: dict[str, Any]) -> None:
    """Say in the folder what is being fitted."""
    report.write(made / _DESCRIPTION, json.dumps(description, indent=2, ensure_ascii=False))


def finished(run: Path) -> bool:
    """Whether the run came to its end."""
    return (run / "run.json").exists()


def finish(run: Path) -> None:
    """Remove what only a resumed run would need."""
    from mlmath.scale import checkpoints

    for path in checkpoints.paths(run):
        path.unlink(missing_ok=True)


def _refuse_other(run, found, description):
    known = found if isinstance(found, dict) else {}
    for name, value in description.items():
        if known.get(name) != json.loads(json.dumps(value)):
            raise Refusal(
                f"'{run}' is of another run: its {name.replace('_', ' ')} is "
                f"{_shown(known.get(name))}, not {_shown(value)}; give the options that it began "
                "with, or start a new one without --resume."
            )


def _shown(value):
    text = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return display.printable(text)[:80]


@contextmanager
def bar(total: int) -> Iterator[Callable[[int, str], None]]:
    """Give a function that draws the steps done and a text on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, text: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
    )

    columns = (BarColumn(bar_width=12), MofNCompleteColumn(), TextColumn("{task.description}"))
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True) as drawn:
        task = drawn.add_task("", total=total)

        def advance(done: int, text: str) -> None:
            drawn.update(task, completed=done, description=text)

        yield advance
