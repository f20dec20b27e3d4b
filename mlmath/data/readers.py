"""Read a table from a CSV, Parquet or .npz file; what is wrong with the file is one sentence.

A table is a polars frame with a gap as null. In a CSV an empty field, NA, N/A, null and NaN in
any spelling are gaps; a column whose every entry is a number is a column of numbers, any other
is text as it stands (001 is text). Fields are separated by commas, semicolons or tabs, whichever
the header has. In an .npz each one-dimensional array is a column and each two-dimensional array A
is the columns A0, A1, …; nothing is unpickled.

>>> from mlmath.data import readers
>>> table = readers.parse_csv(b"height,name\\n1.5,Ann\\n,Bob\\n")
>>> table["height"].to_list(), table["name"].to_list()
([1.5, None], ['Ann', 'Bob'])
"""

import contextlib
import csv
import gzip
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from mlmath.data import datasets
from mlmath.data.errors import InputError, unknown

__all__ = ["Source", "parse_csv", "parse_npz", "parse_parquet", "read"]

_GAPS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL"]
_NAN = r"^[+-]?[nN][aA][nN]$"  # every spelling that reads as a number which is none


class Source:
    """A table and where it came from."""

    def __init__(self, table: pl.DataFrame, name: str, sha256: str, entry: datasets.Entry | None):
        self.table, self.name, self.sha256, self.entry = table, name, sha256, entry


def read(data: str) -> Source:
    """Read the file ``data``, or the embedded set of that name.

    Raises:
        InputError: if there is no such file, or it cannot be read as a table with rows.
    """
    if data in datasets.CATALOGUE:
        contents = datasets.contents(data)
        return _source(parse_csv(contents), data, contents, datasets.CATALOGUE[data])
    path = Path(data)
    if not path.is_file():
        if path.exists():
            raise InputError(f"'{data}' is not a file.")
        if path.suffix or path.name != data:
            raise InputError(f"there is no file {data}.")
        raise unknown("file or data set", data, datasets.CATALOGUE)
    parse = _parser(path)
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise InputError(f"{data} cannot be read: {error.strerror}.") from None
    if not contents:
        raise InputError(f"{data} is empty.")
    try:
        table = parse(contents)
    except InputError as error:
        raise InputError(f"{data}: {error}") from None
    if not table.height or not table.width:
        raise InputError(f"{data} has no rows.")
    return _source(table, path.name.split(".")[0], contents, None)


def parse_csv(contents: bytes) -> pl.DataFrame:
    """Table of a CSV, of commas, semicolons or tabs, perhaps under gzip."""
    try:
        contents = gzip.decompress(contents) if contents[:2] == b"\x1f\x8b" else contents
        text = contents.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"the gzip file is damaged ({error}).") from None
    except UnicodeDecodeError as error:
        raise InputError(f"byte {error.start} is not UTF-8 text; is this a CSV file?") from None
    if "\0" in text:
        raise InputError("it holds binary data; is this a CSV file?")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=re.sub('"[^"]*"', "", first).count)
    names = _header(first, separator)
    try:
        table = pl.read_csv(
            io.BytesIO(text.encode()), separator=separator, infer_schema=False, null_values=_GAPS
        )
    except pl.exceptions.PolarsError as error:
        raise InputError(_malformed(text, separator, len(names), error)) from None
    if table.width != len(names):
        raise InputError(f"its header reads as {table.width} columns, not as {len(names)}.")
    table = table.rename(dict(zip(table.columns, names, strict=True)))
    while table.height and all(value is None for value in table.row(-1)):
        table = table.head(-1)
    return table.select(_typed(column) for column in table)


def parse_parquet(contents: bytes) -> pl.DataFrame:
    """Table of a Parquet file."""
    try:
        table = pl.read_parquet(io.BytesIO(contents))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"it is not a readable Parquet file ({_brief(error)}).") from None
    return table.select(_gaps_as_null(column) for column in table)


def parse_npz(contents: bytes) -> pl.DataFrame:
    """Table of the arrays of an .npz file; arrays that would need pickle are refused."""
    columns: dict[str, np.ndarray] = {}
    try:
        with np.load(io.BytesIO(contents), allow_pickle=False) as arrays:
            for name in arrays.files:
                columns |= _columns(name, arrays[name])
    except (ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"it is not an .npz file of plain arrays ({_brief(error)}).") from None
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        (a, n), (b, m) = min(lengths.items(), key=_second), max(lengths.items(), key=_second)
        raise InputError(f"its arrays differ in length: {a} has {n} rows and {b} has {m}.")
    return pl.DataFrame([_gaps_as_null(pl.Series(k, v)) for k, v in columns.items()])


def _parser(path: Path) -> Callable[[bytes], pl.DataFrame]:
    suffix = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    parsers = {"csv": parse_csv, "tsv": parse_csv, "txt": parse_csv, "npz": parse_npz}
    parsers |= {"parquet": parse_parquet, "pq": parse_parquet}
    if suffix not in parsers:
        raise InputError(f"{path} ends in none of .csv, .tsv, .csv.gz, .parquet and .npz.")
    return parsers[suffix]


def _source(table, name, contents, entry):
    return Source(table, name, hashlib.sha256(contents).hexdigest(), entry)


def _header(line, separator):
    """Names of the columns."""
    try:
        names = [name.strip() for name in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error as error:
        raise InputError(f"its first line cannot be read ({_brief(error)}).") from None
    _check_names(names)
    return names


def _check_names(names):
    if not any(names):
        raise InputError("its first line is empty; it must name the columns.")
    for position, name in enumerate(names):
        if not name:
            raise InputError(f"column {position + 1} has no name.")
        if name in names[:position]:
            raise InputError(f"two columns are named '{name}'.")
    numbers = [name for name in names if _is_number(name)]
    if len(numbers) == len(names):
        raise InputError(
            f"its first line holds numbers ({numbers[0]}, …); it must name the columns."
        )


def _malformed(text, separator, width, error):
    with contextlib.suppress(csv.Error):  # then what polars says must do
        for number, fields in enumerate(csv.reader(io.StringIO(text), delimiter=separator)):
            if (has := len(fields)) > width:
                return f"row {number} has {has} fields, but the header names {width} columns."
    return f"it is not a well-formed CSV ({_brief(error)})."


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _typed(column):
    """Numbers where every entry is one, text as it stands elsewhere."""
    stripped = column.str.strip_chars()
    stripped = stripped.set(stripped.is_in(_GAPS) | stripped.str.contains(_NAN), None)
    padded = stripped.str.contains(r"^[+-]?0\d").any()
    for dtype in (pl.Int64, pl.Float64):
        numbers = stripped.cast(dtype, strict=False)
        if not padded and numbers.null_count() == stripped.null_count() < len(stripped):
            return numbers
    return stripped


def _gaps_as_null(column):
    return column.fill_nan(None) if column.dtype.is_float() else column


def _columns(name, array):
    if array.ndim == 1:
        return {name: array}
    if array.ndim == 2:
        return {f"{name}{j}": column for j, column in enumerate(array.T)}
    raise InputError(f"array {name} has {array.ndim} dimensions; columns have 1, matrices 2.")


def _second(pair):
    return pair[1]


def _brief(error):
    return str(error).split("\n")[0].rstrip(".")[:120]
