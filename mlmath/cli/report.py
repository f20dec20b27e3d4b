"""A run's report: one HTML file with its figures inside, written whole or not at all."""

import base64
import html
import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mlmath.cli.refusal import Refusal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Section", "page", "png", "run_folder", "write"]


class Section(NamedTuple):
    """One part of a report."""

    title: str
    formula: str  # one line of Unicode mathematics
    facts: dict[str, str]  # what is shown in the table, label to value
    figures: dict[str, bytes]  # caption to PNG


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c2430; background: #fff }
h1 { margin-bottom: .2rem }
h2 { margin-top: 2.5rem; border-top: 1px solid #d8dee6; padding-top: 1rem }
.formula { font: 17px/1.6 "STIX Two Math", "Cambria Math", "DejaVu Serif", serif;
           background: #f4f6f9; padding: .5rem .9rem; border-radius: .3rem;
           overflow-x: auto; white-space: nowrap }
table { border-collapse: collapse; margin: 1rem 0 }
td { padding: .15rem 1.2rem .15rem 0; vertical-align: top }
td:first-child { color: #5a6675 }
figure { margin: 1rem 0 } img { max-width: 100% }
figcaption { color: #5a6675; font-size: 14px }
"""


def page(title: str, lead: str, sections: list[Section]) -> str:
    """Return the report as HTML that needs no other file."""
    body = "\n".join(map(_section, sections))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}'
        f"</title><style>{_STYLE}</style></head>\n<body><h1>{html.escape(title)}</h1>"
        f"<p>{html.escape(lead)}</p>\n{body}\n</body></html>\n"
    )


def png(figure: "Figure") -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def run_folder(path: Path) -> Path:
    """Create the folder of a run, which must not hold another run.

    Raises:
        Refusal: if it cannot be created or is not empty.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        occupied = any(path.iterdir())
    except OSError as error:
        raise Refusal(
            f"cannot write to '{path}' ({error.strerror}); choose another with --out."
        ) from None
    if occupied:
        raise Refusal(f"'{path}' is not empty; choose another folder with --out.")
    return path


def write(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name, flush it to the disk, then give it its name.

    Raises:
        Refusal: if it cannot be written; no part of it is left.
    """
    from mlmath.scale import files

    try:
        files.write(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise Refusal(f"cannot write '{path}' ({error.strerror}).") from None


def _section(section):
    rows = "".join(
        f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>"
        for k, v in section.facts.items()
    )
    figures = "".join(
        f'<figure><img alt="{html.escape(caption)}" src="data:image/png;base64,'
        f'{base64.b64encode(data).decode()}"><figcaption>{html.escape(caption)}</figcaption></figure>'
        for caption, data in section.figures.items()
    )
    formula = (
        f'<div class="formula">{html.escape(section.formula)}</div>' if section.formula else ""
    )
    return f"<h2>{html.escape(section.title)}</h2>{formula}<table>{rows}</table>{figures}"
