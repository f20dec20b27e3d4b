import json

from mlmath.data import datasets


def test_every_set_is_listed(shell):
    code, shown, _ = shell("datasets")
    assert code == 0
    assert [line.split()[0] for line in shown.splitlines()] == ["name", *datasets.CATALOGUE]
    found = json.loads(shell("datasets", "--json")[1])
    assert found["penguins"]["rows"] == 344
    assert found["penguins"]["columns"]["sex"] == "text: female, male, 11 gaps"


def test_one_set_is_shown_with_its_source(shell):
    shown = shell("datasets", "titanic")[1]
    assert "numbers from 0.42 to 80.0, 177 gaps" in shown
    assert datasets.note("titanic") in shown


def test_an_unknown_set_is_one_sentence(shell):
    code, _, complaint = shell("datasets", "irs")
    assert code == 2
    assert complaint == "mlmath: there is no data set 'irs'; did you mean 'iris'?\n"
