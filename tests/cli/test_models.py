import json

from mlmath.cli import methods


def test_every_model_is_listed_with_its_options(shell):
    code, shown, _ = shell("models")
    lines = {line.split()[0]: line for line in shown.splitlines()}
    assert code == 0
    assert set(lines) == {"model", *methods.METHODS}
    assert "--l2 --tolerance --max-steps" in lines["logistic_regression"]


def test_json_is_for_scripts(shell):
    found = json.loads(shell("models", "--json")[1])
    assert found["ridge"]["options"]["l2"]["default"] == 1.0
    assert found["ridge"]["predicts"] == "a number"
