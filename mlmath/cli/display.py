"""Facts for people: rich on a terminal, plain text elsewhere."""

import sys
from collections.abc import Mapping, Sequence

__all__ = ["facts", "printable", "table"]

_CONTROLS = {k: None for k in [*range(32), *range(127, 160)] if chr(k) not in "\t\n\r"}


def printable(text: str) -> str:
    """Return the text without the characters that steer a terminal.

    >>> printable("a\\x1b[31mb")
    'a[31mb'
    """
    return text.translate(_CONTROLS)


def facts(title: str, pairs: Mapping[str, str]) -> None:
    """Print labels and values under a title."""
    if sys.stdout.isatty():
        _rich([list(pair) for pair in pairs.items()], title=title)
    else:
        _plain([[title]])
        _plain([[f"  {label}", value] for label, value in pairs.items()])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a header."""
    if sys.stdout.isatty():
        _rich(rows, header=header)
    else:
        _plain([header, *rows])


def _plain(rows):
    widths = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(printable("  ".join(cells)).rstrip() + "\n")
    sys.stdout.flush()  # a reader that has gone is noticed here, not at the end of Python


def _rich(rows, title=None, header=()):
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    grid = Table(*header, show_header=bool(header), box=None, pad_edge=False)
    for row in rows:
        grid.add_row(
            *(Text(printable(cell), style="" if k else "bold") for k, cell in enumerate(row))
        )
    if title is not None:
        console.print(Text(printable(title), style="bold"))
    console.print(grid)
