import json
import os
import pickle
import struct

import jax.numpy as jnp
import numpy as np
import pytest

from mlmath.cli import runs
from mlmath.cli.refusal import Refusal
from mlmath.linear import ridge
from mlmath.statistics.compose import Params

_PARAMS = Params((), ridge.Params(jnp.arange(3.0), jnp.asarray(2.5)))
_RECORD = {
    "format": 1, "mlmath": "0", "model": "ridge", "command": "mlmath fit", "seed": 0,
    "dtype": "float64", "data": {}, "target": "y", "labels": [], "label_type": "Float64",
    "columns": [], "raw": False, "missing": "error", "hyperparameters": {}, "rows": 64,
}  # fmt: skip


@pytest.fixture
def saved(tmp_path):
    out = tmp_path / "run"
    with runs.new_folder(out) as folder:
        runs.write_record(folder, _RECORD)
        runs.write_params(folder, _PARAMS)
    return out


def test_what_is_written_is_read_again(saved):
    assert runs.read_record(saved) == _RECORD
    found = runs.read_params(saved, _PARAMS)
    assert type(found.model) is ridge.Params
    np.testing.assert_array_equal(found.model.weights, [0, 1, 2])
    assert found.model.bias.shape == ()
    assert saved.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, OSError(28, "No space left on device"), ValueError]
)
@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch, error, call):
    def fails(*_):
        raise error

    monkeypatch.setattr(os, call, fails)

    def save():
        with runs.new_folder(tmp_path / "run") as folder:
            runs.write_record(folder, _RECORD)
            runs.write_params(folder, _PARAMS)

    with pytest.raises((KeyboardInterrupt, Refusal, ValueError)):
        save()
    assert list(tmp_path.iterdir()) == []


def test_two_runs_of_one_second_have_two_names(tmp_path):
    for name in ("run", "run-2", "run-3"):
        assert runs.unused(tmp_path / "run").name == name
        (tmp_path / name).mkdir()


def test_a_folder_that_cannot_be_is_refused(tmp_path, saved):
    (tmp_path / "file").write_text("x")
    for out, sentence in [
        (tmp_path / "file" / "run", "cannot write to"),
        (tmp_path / "file", "is not empty; choose another folder"),
        (saved, "is not empty; choose another folder"),
    ]:
        with pytest.raises(Refusal, match=sentence), runs.new_folder(out):
            pytest.fail("the block ran")
    (tmp_path / "empty").mkdir()
    with runs.new_folder(tmp_path / "empty") as folder:
        runs.write_record(folder, _RECORD)
    assert runs.read_record(tmp_path / "empty") == _RECORD


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "not the description of a run"),
        (json.dumps(_RECORD | {"format": 2}), "is of format 2, this mlmath reads format 1"),
        (json.dumps(_RECORD | {"seed": "0"}), "'seed' is not there or not a int"),
        (json.dumps(_RECORD | {"rows": True}), "'rows' is not there or not a int"),
        (json.dumps({"format": 1}), "'mlmath' is not there"),
    ],
)
def test_a_damaged_description_is_refused(saved, text, sentence):
    (saved / "run.json").write_text(text)
    with pytest.raises(Refusal, match=sentence):
        runs.read_record(saved)


def test_a_huge_description_and_none_are_refused(saved, monkeypatch):
    monkeypatch.setattr(runs, "_LARGEST_RECORD", 10)
    with pytest.raises(Refusal, match="too large"):
        runs.read_record(saved)
    with pytest.raises(Refusal, match="holds no run of mlmath"):
        runs.read_record(saved / "nowhere")


class _Bomb:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


def _tensors(**header):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text


def _whole(weights):
    from safetensors.numpy import save

    return save({"model.weights": weights, "model.bias": np.asarray(2.5)})


_HUGE = {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}


@pytest.mark.parametrize(
    ("contents", "sentence"),
    [
        (b"", "is not a safetensors file"),
        (pickle.dumps(_Bomb()), "is not a safetensors file"),
        (struct.pack("<Q", 2**62) + b"{}", "its header claims 4611686018427387904 bytes"),
        (struct.pack("<Q", 2**19) + b"{" + b" " * 2**18, "its header claims 524288 bytes"),
        (_tensors(**{"model.weights": _HUGE, "model.bias": _HUGE}), "is damaged"),
        (_whole(np.arange(3.0))[:-4], "is damaged"),
        (_whole(np.arange(4.0)), r"'model.weights' is float64\[4\], not float64\[3\]"),
        (_whole(np.arange(3.0, dtype=np.float32)), "'model.weights' is float32"),
        (_whole(np.array([0, np.nan, 1])), "holds numbers that are not finite"),
        (_tensors(), "'model.bias' is in one of them only"),
    ],
    ids=range(10),
)
def test_a_hostile_or_damaged_parameter_file_is_refused(saved, monkeypatch, contents, sentence):
    monkeypatch.chdir(saved)
    (saved / "params.safetensors").write_bytes(contents)
    with pytest.raises(Refusal, match=sentence) as refused:
        runs.read_params(saved, _PARAMS)
    assert "\n" not in str(refused.value)
    assert not (saved / "executed").exists()
