import gzip
import hashlib
import io
import pickle

import numpy as np
import polars as pl
import pytest

from mlmath.data import datasets, readers
from mlmath.data.errors import InputError


def test_a_csv_is_typed_by_all_of_its_entries():
    table = readers.parse_csv(b"a,b,c,d\n1,1.5,x,001\n,NA, y ,2\n3,1e3,NaN,3\n")
    assert table.schema == {"a": pl.Int64, "b": pl.Float64, "c": pl.String, "d": pl.String}
    assert table["a"].to_list() == [1, None, 3]
    assert table["b"].to_list() == [1.5, None, 1000.0]
    assert table["c"].to_list() == ["x", "y", None]
    assert table["d"].to_list() == ["001", "2", "3"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_line_ends_quotes_and_marks(separator):
    text = separator.join(['"a, b"', "c"]) + "\r\n" + separator.join(["1", '"x\ny"']) + "\r\n\r\n"
    table = readers.parse_csv("\ufeff".encode() + text.encode())
    assert table.to_dict(as_series=False) == {"a, b": [1], "c": ["x\ny"]}


@pytest.mark.parametrize("gap", ["NaN", "nan", "NAN", "Nan", "-nan", "+NaN", "-NAN"])
def test_every_spelling_of_nan_is_a_gap(gap):
    table = readers.parse_csv(f"a,b,c\n1.5,2,x\n{gap}, {gap} ,{gap}\n2.5,3,y\n".encode())
    assert table.schema == {"a": pl.Float64, "b": pl.Int64, "c": pl.String}
    assert table.null_count().row(0) == (1, 1, 1)
    assert table["a"].to_list() == [1.5, None, 2.5]


def test_lines_may_end_in_a_carriage_return_alone():
    table = readers.parse_csv(b"a,b\r1,x\r2,y\r")
    assert table.to_dict(as_series=False) == {"a": [1, 2], "b": ["x", "y"]}


def test_every_embedded_set_reads_as_it_was_written():
    for name in datasets.CATALOGUE:
        source = readers.read(name)
        assert source.table.equals(datasets.load(name))
        assert source.sha256 == hashlib.sha256(datasets.contents(name)).hexdigest()


def test_the_same_table_in_every_format(tmp_path):
    table = pl.DataFrame({"a": [1.5, None, 3.0], "b": [4.0, 5.0, 6.0]})
    table.write_csv(tmp_path / "t.csv")
    table.write_csv(tmp_path / "t.tsv", separator="\t")
    table.write_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    np.savez(tmp_path / "t.npz", a=np.array([1.5, np.nan, 3.0]), b=np.array([4.0, 5.0, 6.0]))
    for name in ("t.csv", "t.tsv", "t.parquet", "t.csv.gz", "t.npz"):
        source = readers.read(str(tmp_path / name))
        assert source.table.equals(table), name
        assert source.name == "t"


def test_a_matrix_in_an_npz_is_numbered_columns():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, X=np.arange(6.0).reshape(3, 2), y=np.array(["a", "b", "a"]))
    assert readers.parse_npz(buffer.getvalue()).columns == ["X0", "X1", "y"]


_GZIPPED = gzip.compress(b"a\n" + b"".join(b"%d\n" % k**3 for k in range(99)))


class _Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def _npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("parse", "contents", "sentence"),
    [
        (readers.parse_csv, b"\n1,2\n", "its first line is empty; it must name the columns."),
        (readers.parse_csv, b"a,,c\n1,2,3\n", "column 2 has no name."),
        (readers.parse_csv, b"a,b,a\n1,2,3\n", "two columns are named 'a'."),
        (readers.parse_csv, b"1,2\n3,4\n", "holds numbers"),
        (readers.parse_csv, b"a,b\n1,2\n3,4,5\n", "row 2 has 3 fields, but the header names 2"),
        (readers.parse_csv, b'a,b\n1,"x\n', "not a well-formed CSV"),
        (readers.parse_csv, b"a\xff\n1\n", "byte 1 is not UTF-8"),
        (readers.parse_csv, b"a\0b\n1\n", "binary"),
        (readers.parse_csv, b"\x1f\x8b" + b"x" * 20, "gzip file is damaged"),
        (readers.parse_csv, gzip.compress(b"a\n" + b"1\n" * 99)[:-9], "gzip file is damaged"),
        (readers.parse_csv, _GZIPPED[:20] + b"\xff" * 9 + _GZIPPED[29:], "gzip file is damaged"),
        (readers.parse_csv, b"a\rb,c\n1,2\n", "its first line cannot be read"),
        (readers.parse_csv, b"a" * 140000 + b",b\n1,2\n", "its first line cannot be read"),
        (readers.parse_csv, b'a,b\n1,"x' + b"x" * 140000 + b"\n", "not a well-formed CSV"),
        (readers.parse_parquet, b"PAR1" * 8, "not a readable Parquet file"),
        (readers.parse_npz, b"PK\3\4" * 8, "not an .npz file"),
        (readers.parse_npz, pickle.dumps(_Bomb()), "not an .npz file"),
        (readers.parse_npz, _npz(a=np.array([_Bomb()], object)), "not an .npz file of plain"),
        (readers.parse_npz, _npz(a=np.ones(3), b=np.ones(2)), "b has 2 rows and a has 3"),
        (readers.parse_npz, _npz(a=np.ones((2, 2, 2))), "array a has 3 dimensions"),
    ],
    ids=range(20),
)
def test_what_is_wrong_with_a_file_is_one_sentence(parse, contents, sentence):
    with pytest.raises(InputError) as refused:
        parse(contents)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "contents", "sentence"),
    [
        ("t.csv", b"", "is empty."),
        ("t.csv", b"a,b\n", "has no rows."),
        ("t.xlsx", b"a", "ends in none of .csv"),
    ],
)
def test_a_file_without_a_table_is_refused(tmp_path, name, contents, sentence):
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(InputError, match=sentence):
        readers.read(str(tmp_path / name))


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*none\.csv\.$"):
        readers.read(str(tmp_path / "none.csv"))
    with pytest.raises(InputError, match="did you mean 'penguins'"):
        readers.read("pengiuns")
    with pytest.raises(InputError, match=r"^'.*' is not a file\.$"):
        readers.read(str(tmp_path))
