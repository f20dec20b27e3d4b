"""The style of the house, read from the source: what a module and a public function look like."""

import ast
import builtins
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHELL = {"cli"}  # passes no arrays, prints, asks for numbers
BORDER = SHELL | {"data", "plot", "scale"}  # meet files and figures
METHODS = {"kernels", "latent", "linear", "neural"}  # floor 3

MODULES = sorted(
    path.relative_to(ROOT) for path in (ROOT / "mlmath").rglob("*.py") if path.name != "__init__.py"
)
MATHEMATICS = [m for m in MODULES if m.parts[1] not in BORDER]
LIBRARY = [m for m in MODULES if m.parts[1] not in SHELL]


def tree(module):
    return ast.parse((ROOT / module).read_text())


def exported(parsed):
    """What the one ``__all__`` of a module lists; some of it may come from another module."""
    (listed,) = [
        ast.literal_eval(node.value)
        for node in parsed.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return listed


def functions(module):
    """Public functions of a module."""
    return [
        node
        for node in tree(module).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]


def parameters(function):
    a = function.args
    return [
        *a.posonlyargs,
        *a.args,
        *filter(None, [a.vararg]),
        *a.kwonlyargs,
        *filter(None, [a.kwarg]),
    ]


def called(module):
    """Dotted names of everything the module calls, with the call."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


over = pytest.mark.parametrize
modules = over("module", MODULES, ids=str)
library = over("module", LIBRARY, ids=str)
mathematics = over("module", MATHEMATICS, ids=str)
methods = over("module", [m for m in MODULES if m.parts[1] in METHODS], ids=str)


@modules
def test_a_module_is_a_page(module):
    text = (ROOT / module).read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and node.body[1:] else node.body
            length = body[-1].end_lineno - body[0].lineno + 1
            assert length <= 40, f"{node.name} has {length} lines"


@modules
def test_names_say_something(module):
    assert not {"utils", "util", "base", "common", "helpers", "core", "_src", "misc"} & {
        part.removesuffix(".py") for part in module.parts
    }


@modules
def test_the_test_mirrors_the_module(module):
    folder = ROOT / "tests" / Path(*module.parts[1:-1])
    assert (folder / f"test_{module.name}").is_file()


@modules
def test_a_module_opens_with_a_docstring_and_its_names(module):
    parsed = tree(module)
    assert ast.get_docstring(parsed)
    defined = {
        node.name
        for node in parsed.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    }
    assert defined <= set(exported(parsed))


@modules
def test_public_functions_are_documented_and_annotated(module):
    for function in functions(module):
        assert ast.get_docstring(function), function.name
        assert function.returns is not None, function.name
        for parameter in parameters(function):
            assert parameter.annotation is not None, f"{function.name}({parameter.arg})"


@library
def test_args_lists_all_parameters_or_none(module):
    for function in functions(module):
        section = re.search(r"\nArgs:\n((?:    .*\n?|\n)+)", ast.get_docstring(function) or "")
        if section:
            listed = re.findall(r"^    \**(\w+):", section[1], flags=re.M)
            assert listed == [p.arg for p in parameters(function)], function.name


@library
def test_what_has_a_default_is_keyword_only(module):
    for function in functions(module):
        assert not function.args.defaults, function.name


@methods
def test_every_hyperparameter_has_a_default(module):
    for function in functions(module):
        assert None not in function.args.kw_defaults, function.name


@library
def test_no_flags(module):
    for function in functions(module):
        for parameter in parameters(function):
            words = set(re.findall(r"\w+", ast.unparse(parameter.annotation)))
            assert "bool" not in words, f"{function.name}({parameter.arg})"


@mathematics
def test_no_method_strings(module):
    for function in functions(module):
        for parameter in function.args.kwonlyargs:
            annotation = ast.unparse(parameter.annotation)
            assert not re.fullmatch(r"str|Literal\[.*\]", annotation), function.name


@mathematics
def test_argument_order(module):
    """Key, what is learnt, data, then hyperparameters; solvers take the function first."""
    rank = {"key": 0, "params": 1, "state": 1, "X": 2, "x": 2, "y": 3}
    for function in functions(module):
        names = [a.arg for a in function.args.args]
        ranks = [rank[n] for n in names if n in rank]
        assert ranks == sorted(ranks), f"{function.name}({', '.join(names)})"
        if not function.name.startswith("present"):  # which make the weights
            assert "sample_weight" not in names, function.name


@methods
def test_a_method_module_is_complete(module):
    parsed = tree(module)
    defined = {n.name: n for n in parsed.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    if "fit" in defined:
        fields = [f.target.id for f in defined["Fit"].body if isinstance(f, ast.AnnAssign)]
        assert fields[:2] == ["params", "certificate"]
        assert {"Params", "objective"} <= set(exported(parsed))
        takes = [a.arg for a in parameters(defined["fit"])]
        assert "sample_weight" in takes
        assert any(ast.unparse(d).startswith("compiled(") for d in defined["fit"].decorator_list)
    documentation = ast.get_docstring(parsed)
    for part in ("(1)", ">>> ", "References:"):
        assert part in documentation


@mathematics
def test_nothing_impure_is_called(module):
    forbidden = {"print", "warn", "update", "item", "tolist", "device_get", "block_until_ready"}
    for name, call in called(module):
        last = name.rsplit(".", 1)[-1]
        assert last not in forbidden or name == "optimizer.update", name  # of a pure pair
        assert "callback" not in name
        assert not name.startswith("jax.debug"), name
        if name in ("bool", "float", "int"):
            assert "finfo" in ast.unparse(call), ast.unparse(call)


@mathematics
def test_no_arrays_are_made_at_import(module):
    for node in tree(module).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for inner in ast.walk(node.value):
                if isinstance(inner, ast.Call):
                    assert not ast.unparse(inner.func).startswith(("jnp.", "np.", "jax.numpy"))


@mathematics
def test_arguments_are_used_through_functions(module):
    """NumPy arrays have no ``.at``, and their methods are not JAX's."""
    for function in functions(module):
        names = {p.arg for p in parameters(function) if not _tuple(p.annotation)}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):  # rebound, as ``X, y, weight = present(…)`` does
                for target in ast.walk(node.targets[0]):
                    names.discard(getattr(target, "id", None))
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in names:
                assert node.attr not in _ARRAY_METHODS, ast.unparse(node)


def _tuple(annotation):
    """A class of fields, ``Params`` or ``scatter.Spectrum``: its ``mean`` is no method."""
    name = ast.unparse(annotation).rsplit(".", 1)[-1]
    arrays = {"Array", "Count", "Key", "Label", "Labels", "Real", "Scalar", "PyTree", "Any"}
    return re.fullmatch(r"[A-Z]\w*", name) and name not in arrays


_ARRAY_METHODS = {
    "at", "sum", "mean", "max", "min", "dot", "reshape", "astype", "ravel", "any", "all",
    "argmax", "argmin", "argsort", "std", "var", "prod", "clip", "cumsum", "take", "T", "flatten",
}  # fmt: skip


@modules
def test_no_shape_is_guessed(module):
    if module in MATHEMATICS and module.name != "arguments.py":
        for node in ast.walk(tree(module)):
            assert not (isinstance(node, ast.Attribute) and node.attr == "ndim")


@modules
def test_forbidden_words(module):
    text = (ROOT / module).read_text()
    assert "from __future__" not in text
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text)
    assert not re.search(r"^\s*# ?[-=#*]{4,}", text, flags=re.M)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            fields = {f.target.id for f in node.body if isinstance(f, ast.AnnAssign)}
            assert not fields & {"count", "index"}, "tuples have methods of these names"
        if isinstance(node, ast.FunctionDef):
            assert not {p.arg for p in parameters(node)} & (set(dir(builtins)) - _ALLOWED)


_ALLOWED = {"json", "format"}  # flags of the shell are called what people call them


def test_the_nearest_name_is_sought_in_one_place():
    assert [str(m) for m in MODULES if "difflib" in (ROOT / m).read_text()] == ["mlmath/nearest.py"]


def test_the_exemptions_are_packages_of_the_house():
    packages = {m.parts[1] for m in MODULES}
    assert packages >= BORDER | METHODS
