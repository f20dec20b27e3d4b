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

__all__ = ["bar", "finish", "finished", "folder"]

_DESCRIPTION = "training.json"


@contextmanager
def folder(
    out: Path,
    resume: Path | None,
    description: dict[str, Any],
    about: dict[str, str],
    command: str,
) -> Iterator[tuple[Path, list[str]]]:
    """Give the folder of a run, new or the one to resume, for this process alone, and remarks.

    ``description`` must be alike for a run to be resumed; where ``about`` differs, it is remarked;
    ``command`` is for people.

    Raises:
        Refusal: if the folder cannot be, is another process's or of another run.
    """
    from mlmath.scale import files

    run = out if resume is None else resume
    told = description | about | {"command": command}
    if resume is None or not run.exists():
        report.run_folder(run)
    if not run.is_dir():
        raise Refusal(f"'{run}' is a file, and a run is a folder.")
    try:
        with files.locked(run):
            files.clear(run)  # killed before its first file had a name, a run has not begun
            remarks = []
            if any(run.iterdir()):
                remarks = _same(run, description, about)
            else:
                text = json.dumps(told, indent=2, ensure_ascii=False)
                report.write(run / _DESCRIPTION, text)
            yield run, remarks
    except BlockingIOError:
        raise Refusal(f"another process is training in '{run}'; wait for it, or end it.") from None
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise Refusal(
            f"cannot write to '{run}' ({error.strerror}); what is there is kept: give the command "
            f"again with --resume {run}."
        ) from None


def finished(run: Path) -> bool:
    """Whether the run came to its end."""
    return (run / "run.json").exists()


def finish(run: Path) -> None:
    """Remove what only a resumed run would need."""
    from mlmath.scale import checkpoints

    for path in checkpoints.paths(run):
        path.unlink(missing_ok=True)


def _same(run, description, about):
    """Remarks on a run that is there, which must be the one described."""
    path = run / _DESCRIPTION
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refusal(
            f"'{run}' holds no training to resume ({_DESCRIPTION}: {error.strerror})."
        ) from None
    except ValueError:
        raise Refusal(f"{path} is damaged: it is not JSON.") from None
    known = found if isinstance(found, dict) else {}
    for name, value in description.items():
        if known.get(name) != json.loads(json.dumps(value)):
            raise Refusal(
                f"'{run}' is of another run: its {name.replace('_', ' ')} is "
                f"{_shown(known.get(name))}, not {_shown(value)}; give the options that it began "
                "with, or start a new one without --resume."
            )
    return [
        f"the run began with {name} {_shown(known.get(name))} and goes on with {value}: its last "
        "digits may differ from those of a run that was not resumed."
        for name, value in about.items()
        if known.get(name) != value
    ]


def _shown(value):
    text = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return display.printable(text)[:80]


@contextmanager
def bar(total: int) -> Iterator[Callable[[int, Callable[[], str]], None]]:
    """Give a function that draws the steps done and a text on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=12), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task("", total=total)

        def advance(done: int, text: Callable[[], str]) -> None:
            drawn.update(task, completed=done, description=text())

        yield advance
