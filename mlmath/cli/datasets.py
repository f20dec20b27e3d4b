"""``mlmath datasets``: the real data that comes with the package."""

import json
from collections.abc import Sequence

from mlmath.cli import display, flags
from mlmath.cli.refusal import Refusal
from mlmath.nearest import hint

__all__ = ["run"]

_OPTIONS = [
    flags.Option("name", str | None, "set to show: columns, source, licence", None, "NAME", True),
    flags.Option("json", bool, "print JSON instead of a table", False),
]  # fmt: skip


def run(words: Sequence[str]) -> int:
    """Run ``mlmath datasets`` with the words of the command line."""
    described = "List the data sets that come with mlmath, or show one."
    options = flags.parse("mlmath datasets", described, _OPTIONS, words)
    from mlmath.data import datasets

    names = list(datasets.CATALOGUE)
    if options.name is not None and options.name not in names:
        listed = f"there are {', '.join(names)}."
        raise Refusal(f"there is no data set '{options.name}'; {hint(options.name, names, listed)}")
    facts = {name: _facts(name) for name in ([options.name] if options.name else names)}
    if options.json:
        print(json.dumps(facts, indent=2, ensure_ascii=False), flush=True)
    elif options.name:
        display.facts(options.name, facts[options.name]["columns"])
        print(f"\n{datasets.note(options.name)}", end="", flush=True)
    else:
        rows = [
            [name, str(f["rows"]), str(len(f["columns"])), f["target"], f["title"]]
            for name, f in facts.items()
        ]
        display.table(["name", "rows", "columns", "target", "what it is"], rows)
    return 0


def _facts(name):
    from mlmath.data import datasets

    table, entry = datasets.load(name), datasets.CATALOGUE[name]
    columns = {c.name: _described(c) for c in table}
    return {"title": entry.title, "target": entry.target, "rows": table.height, "columns": columns}


def _described(column):
    gaps = f", {column.null_count()} gaps" if column.null_count() else ""
    if column.dtype.is_numeric():
        return f"numbers from {column.min()} to {column.max()}{gaps}"
    return f"text: {', '.join(column.drop_nulls().unique().sort())}{gaps}"
