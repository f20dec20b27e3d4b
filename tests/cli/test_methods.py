import importlib
import inspect
import subprocess
import sys
import time

import pytest

from mlmath.cli import methods
from mlmath.cli.refusal import Refusal

_NAMES = sorted(methods.METHODS)


@pytest.mark.parametrize("name", _NAMES)
def test_flags_are_the_numeric_keywords_of_fit_and_its_neighbour_with_their_defaults(name):
    method = methods.METHODS[name]
    keywords = {
        keyword: parameter
        for function in filter(None, (method.also, method.fit))
        for keyword, parameter in inspect.signature(methods.load(function)).parameters.items()
    }
    flags = {flag.name: flag for flag in methods.flags(method)}
    for flag in flags.values():
        assert keywords[flag.name].kind is inspect.Parameter.KEYWORD_ONLY
        assert keywords[flag.name].default == flag.default
        assert flag.help, f"{name} --{flag.name} has no line under Args"
        assert "per column" not in flag.help, "a flag is one number"
    left = set(keywords) - set(flags)
    functions = {"error", "activation", "optimizer", "weighting"}
    data = {"key", "params", "centroids", "X", "x", "y", "sample_weight", "start"}
    assert left <= {*data, "classes", "outputs", *functions}


@pytest.mark.parametrize("name", _NAMES)
def test_functions_of_the_table_exist(name):
    method = methods.METHODS[name]
    named = [method.also, method.fit, method.predict, method.figures, method.affine]
    for function in filter(None, named):
        assert callable(methods.load(function))
    assert method.task in methods.TASKS
    assert methods.title(method)
    equation, module = methods.formula(method), importlib.import_module(method.fit.module)
    assert equation.startswith("L(") or "\n    L(" not in module.__doc__


def test_ridge_is_read_right():
    ridge = methods.METHODS["ridge"]
    l2, tolerance = methods.flags(ridge)
    assert l2 == ("l2", float, 1.0, l2.help)
    assert l2.help == "λ, the penalty on the squared weights"
    assert tolerance == (
        "tolerance", float, None, "largest gap that counts as converged; 4ε of the dtype if None",
    )  # fmt: skip
    assert methods.formula(ridge) == "L(w, b) = ½ Σᵢ sᵢ (yᵢ − wᵀxᵢ − b)² + ½ Σⱼ λⱼ wⱼ²"


def test_an_option_of_several_lines_and_a_size_are_read(tmp_path, monkeypatch):
    (tmp_path / "toy_method.py").write_text(
        '"""Toy: a title.\n\nMinimises\n\n    L(w) = ½ w²      (1)\n"""\n'
        "def fit(X, *, k: int = 3, classes: int = 2, rate: Scalar = 1, start: Params = None):\n"
        '    """Fit.\n\n    Args:\n        X: data.\n        k: how many,\n            at most.\n'
        '        rate: speed.\n\n    Raises:\n        ValueError: if not.\n    """\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    toy = methods.Method("classes", None, *[methods.Function("toy_method", "fit")] * 2, None)
    assert methods.flags(toy) == [("k", int, 3, "how many, at most"), ("rate", float, 1, "speed")]
    assert methods.arguments(toy, {"k": 3, "rate": None}, ["a", "b", "c"]) == {"k": 3, "classes": 3}
    assert methods.formula(toy) == "L(w) = ½ w²"


def test_an_unknown_model_is_refused_with_the_nearest():
    with pytest.raises(Refusal, match="no model 'rigde'; did you mean 'ridge'"):
        methods.find("rigde")


@pytest.mark.parametrize(
    "words", [["models"], ["fit", "--help"], ["fit", "rigde", "x"], ["fit", "ridge", "--l3"]]
)
def test_help_lists_and_refusals_come_within_a_second_and_without_jax(words):
    code = (
        f"import sys; from mlmath.cli.main import main; code = main({words!r}); "
        "print('jax' in sys.modules, code)"
    )
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        seconds.append(time.perf_counter() - start)
        assert shown.splitlines()[-1] in ("False 0", "False 2")
    assert min(seconds) < 1


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("epochs", int, 0), ("epochs", int, 1.5), ("max_steps", int, -3), ("epochs", int, 10**30),
        ("l2", float, -1.0), ("tolerance", float, float("inf")), ("learning_rate", float, 0.0),
        ("steps", int, 0), ("batch_size", int, 0),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_told_its_range(name, kind, value):
    assert methods.range_of(methods.Flag(name, kind, None, ""), value) is not None
    assert methods.range_of(methods.Flag(name, kind, None, ""), kind(3)) is None


@pytest.mark.parametrize("value", [(0,), (3, -1), (2**31,)], ids=str)
def test_each_of_several_sizes_is_in_its_range(value):
    hidden = methods.Flag("hidden", tuple[int, ...], (64,), "")
    expected = "one or more, each a whole number from 1 to 2147483647"
    assert methods.range_of(hidden, value) == expected
    assert methods.range_of(hidden, (3, 4)) is None


@pytest.mark.parametrize("name", _NAMES)
def test_what_fixes_the_program_is_what_a_traced_number_cannot_be(name):
    """A static one is an ``int``, sizes or a function; a traced one ``Count`` or ``Scalar``."""
    method = methods.METHODS[name]
    keywords = inspect.signature(methods.load(method.fit)).parameters
    assert methods.static(method) == {
        k
        for k, p in keywords.items()
        if p.annotation in (int, tuple[int, ...]) or "Callable" in str(p.annotation)
    }
