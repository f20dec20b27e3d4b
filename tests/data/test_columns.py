import datetime

import numpy as np
import polars as pl
import pytest

from mlmath.data import columns
from mlmath.data.errors import InputError


@pytest.fixture
def table():
    return pl.DataFrame(
        {"age": [1.0, None, 4.0], "sex": ["m", "f", None], "ok": [True, False, True]}
    )


def test_encode_is_its_definition(table):
    described = columns.fill(columns.describe(table), table)
    encoded = columns.encode(described, table)
    np.testing.assert_array_equal(
        encoded.matrix, [[1, 0, 1, 0, 1], [2.5, 1, 0, 0, 0], [4, 0, -1, 1, 1]]
    )
    assert encoded.missing == {"age": 1, "sex": 1}
    assert columns.sizes(described) == (0, 0, 2, 0, 0)
    assert columns.names(described) == [
        "age", "age is missing", "sex = f", "sex = m", "sex is missing", "ok",
    ]  # fmt: skip


def test_the_mean_that_fills_is_weighted(table):
    filled = columns.fill(columns.describe(table), table, weight=np.array([3.0, 1.0, 1.0]))
    assert filled[0].filling == (3 * 1.0 + 4.0) / 4
    whole = columns.fill(columns.describe(table), table, weight=np.array([1.0, 0.0, 1.0]))
    assert not whole[0].filled  # the row with the gap is absent
    assert whole[1].filled


def test_a_later_table_is_encoded_by_name_and_by_the_texts_of_the_first(table):
    described = columns.fill(columns.describe(table), table)
    later = pl.DataFrame({"sex": ["x", "m"], "ok": [False, None], "age": [9, 8], "new": [1, 2]})
    encoded = columns.encode(described, later)
    np.testing.assert_array_equal(encoded.matrix, [[9, 0, -1, 0, 0], [8, 0, 1, 0, 2 / 3]])
    assert encoded.unseen == {"sex": 1}
    assert encoded.missing == {"ok": 1}


def test_numbers_stand_for_their_texts_where_texts_were(table):
    described = columns.describe(pl.DataFrame({"c": ["1", "2", "a", "b", "c"]}))
    coded = columns.encode(described, pl.DataFrame({"c": [2, 7]}))
    np.testing.assert_array_equal(coded.matrix, [[1], [-1]])
    with pytest.raises(InputError, match="'c' holds numbers, where it held text in the fit"):
        columns.encode(described, pl.DataFrame({"c": [8.5, 7.5]}))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (["1", "2", "x"], "column 'c' holds the text 'x' in row 3, where numbers belong"),
        ([1.0, float("inf")], "column 'c' is inf in row 2; numbers must be finite."),
        ([float("-inf"), 1.0], "column 'c' is -inf in row 1"),
        ([None, None], "column 'c' is all gaps"),
        ([datetime.date(2020, 1, 1)] * 2, "column 'c' holds Date, neither numbers nor text"),
        ([f"name {k}" for k in range(50)], "column 'c' holds 50 texts in 50 rows"),
    ],
)
def test_what_is_neither_numbers_nor_categories_is_refused(values, sentence):
    with pytest.raises(InputError, match=sentence) as refused:
        columns.describe(pl.DataFrame({"c": values}))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["$5", "5 €", "£1,234.50", "-$3", "$ -3", "1,234", "12,345,678", "1 234,5", "1.234,5", "1'000",
     "5 %", "5%", "0,5", "(1,200)", "1,5e3", "−4", "1\u202f000", "3 ‰", " 7 €"],
)  # fmt: skip
def test_a_number_written_for_people_is_refused_as_text(text):
    table = pl.DataFrame({"c": ["1", None, text, text, text, "a"]})
    with pytest.raises(InputError) as refused:
        columns.describe(table)
    told = (
        f"column 'c' holds the number '{text}' as text in row 3; write numbers plainly, like "
        "1234.5, without signs of currency, percent or thousands"
    )
    assert str(refused.value) == f"{told}, or leave the column out with --ignore 'c'."
    with pytest.raises(InputError) as refused:
        columns.numbers(table["c"])
    assert str(refused.value) == f"{told}."


@pytest.mark.parametrize(
    "text",
    ["5-10", "1,2,3", "2020-01-31", "5 kg", "1st", "$", "%", "10:30", "1.2.3", "A5", "1,23,4"],
)
def test_a_text_with_digits_is_no_number(text):
    (described,) = columns.describe(pl.DataFrame({"c": [text, text, "b"]}))
    assert described.categories == tuple(sorted([text, "b"]))


def test_a_few_numbers_among_categories_are_texts():
    (described,) = columns.describe(pl.DataFrame({"c": ["5 %", "low", "low", "high", "high"]}))
    assert described.categories == ("5 %", "high", "low")


def test_texts_of_digits_with_a_gap_are_as_without():
    whole, gap = (columns.describe(pl.DataFrame({"c": c})) for c in (["1", "2"], ["1", None, "2"]))
    assert whole == gap == (columns.Column("c", ("1", "2")),)


def test_text_where_the_fit_had_numbers_is_refused_by_row():
    described = columns.describe(pl.DataFrame({"c": [1.0, 2.0]}))
    with pytest.raises(InputError, match="holds the text 'x' in row 2"):
        columns.encode(described, pl.DataFrame({"c": ["1", "x"]}))
    with pytest.raises(InputError, match="no column 'c'; did you mean 'C'"):
        columns.encode(described, pl.DataFrame({"C": [1.0]}))


@pytest.mark.parametrize("values", [[1.0, float("nan")], ["1", "NAN"]])
def test_nan_is_no_number(values):
    with pytest.raises(InputError, match="column 'c' is nan in row 2; numbers must be finite"):
        columns.numbers(pl.Series("c", values))


def test_a_list_is_no_number():
    with pytest.raises(InputError, match=r"column 'c' holds List\(Int64\), not numbers\."):
        columns.numbers(pl.Series("c", [[1], [2]]))


def test_the_remedy_for_text_is_that_of_the_command():
    described = columns.describe(pl.DataFrame({"c": [1.0, 2.0]}))
    with pytest.raises(InputError, match=r"where numbers belong; correct it\.$"):
        columns.encode(described, pl.DataFrame({"c": ["1", "x"]}))
    with pytest.raises(InputError, match="or leave the column out with --ignore 'c'"):
        columns.describe(pl.DataFrame({"c": ["1", "2", "x"]}))


def test_two_columns_of_one_name_are_refused():
    table = pl.DataFrame({"s": ["m", "f"], "s = m": [1.0, 2.0]})
    with pytest.raises(InputError, match="would be named 's = m'"):
        columns.refuse_same_names(columns.describe(table))
    columns.refuse_same_names(columns.describe(table.rename({"s = m": "t"})))


def test_gaps_are_refused_where_they_count(table):
    np.testing.assert_array_equal(columns.gaps(table), [False, True, True])
    with pytest.raises(InputError, match=r"column 'age' is missing in row 2; say so\."):
        columns.refuse_gaps(table, np.ones(3, bool), "say so")
    columns.refuse_gaps(table, np.array([True, False, False]), "say so")
    gaps = pl.DataFrame({"c": [None, None, None]})
    with pytest.raises(InputError, match="row 1 and in 2 more"):
        columns.refuse_gaps(gaps, np.ones(3, bool), "say so")


def test_constant_columns_are_refused():
    with pytest.raises(InputError, match=r"column 'c' is constant \(7 in every row\)"):
        columns.refuse_constant(pl.DataFrame({"a": [1, 2], "c": [7, 7]}))
    columns.refuse_constant(pl.DataFrame({"a": [1, 2]}))


def test_nothing_can_be_filled_from_nothing(table):
    with pytest.raises(InputError, match="'age' is all gaps"):
        columns.fill(columns.describe(table), table, weight=np.array([0.0, 1.0, 0.0]))
