"""Shapes and dtypes of arguments, checked against the signature; one sentence when they differ.

The import hook in ``mlmath/__init__.py`` puts :func:`checked` on every function of the package.
Inside ``jax.jit`` it runs while tracing, so compiled calls pay nothing. ``JAXTYPING_DISABLE=1``
turns it off. Arrays in half precision are refused: JAX factors no matrix in it, and a sum of
65,520 ones is already infinite in float16.
"""

import functools
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, Union, get_args, get_origin

import numpy as np
from jaxtyping import AbstractArray, AnnotationError, Shaped, jaxtyped

__all__ = ["ArgumentError", "checked"]

F = TypeVar("F", bound=Callable[..., Any])


_KIND = {"Float": "float", "Int": "integer", "Bool": "boolean", "Shaped": "numeric"}
_SCALAR = {"Key": "a typed key"}
_WORD = {
    type(None): "None",
    float: "a number",
    int: "a number",
    np.generic: "a number",
    Callable: "a function",
}


class ArgumentError(AnnotationError, TypeError):
    """An argument is not what the signature asks for.

    jaxtyping lets an ``AnnotationError`` through as it is, which keeps the sentence short.
    """


def checked(function: F) -> F:
    """Check the arguments and the result of ``function`` against its annotations."""
    from beartype import beartype
    from beartype.roar import BeartypeCallHintViolation

    strict = beartype(function)
    signature = inspect.signature(function)
    checks_arrays = any(_arrays(p.annotation) for p in signature.parameters.values())
    records = [name for name, p in signature.parameters.items() if _fields(p.annotation)]

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if checks_arrays and any(map(_is_half, (*args, *kwargs.values()))):
            _refuse_half(function, signature, args, kwargs)
        try:
            result = strict(*args, **kwargs)
        except BeartypeCallHintViolation:
            raise ArgumentError(_sentence(function, signature, args, kwargs)) from None
        if records:
            given = signature.bind(*args, **kwargs).arguments
            for name in records:
                if not _record_fits(given.get(name), signature.parameters[name].annotation):
                    raise ArgumentError(_sentence(function, signature, args, kwargs))
        return result

    return wrapper  # type: ignore[return-value]


def _is_half(value):
    dtype = getattr(value, "dtype", None)
    return getattr(dtype, "itemsize", 4) < 4 and "float" in getattr(dtype, "name", "")


def _refuse_half(function, signature, args, kwargs):
    for name, value in _given(signature, args, kwargs):
        if _is_half(value) and _arrays(annotation := signature.parameters[name].annotation):
            raise ArgumentError(
                f"{_place(function)}: {name} must be {_expected(annotation, {})}, got "
                f"{_got(value)}; half precision is too coarse: convert with .astype('float32')."
            )


def _given(signature, args, kwargs):
    """Names and arguments; what ``*name`` collects comes one by one, as it is annotated."""
    for name, value in signature.bind(*args, **kwargs).arguments.items():
        many = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        for one in value if many else (value,):
            yield name, one


def _place(function):
    return f"{function.__module__.removeprefix('mlmath.')}.{function.__name__}"


def _sentence(function, signature, args, kwargs):
    from beartype.door import is_bearable

    where = _place(function)
    known: dict[str, tuple[int, str]] = {}  # size of a dimension, and the argument that set it
    with jaxtyped("context"):
        for name, value in _given(signature, args, kwargs):
            annotation = signature.parameters[name].annotation
            if annotation is inspect.Parameter.empty:
                continue
            if not is_bearable(value, annotation):
                expected, fix = _expected(annotation, known), _fix(annotation, value)
                return f"{where}: {name} must be {expected}, got {_got(value)}{fix}."
            if not _record_fits(value, annotation):
                shapes = ", ".join(f"{k} {_got(v)}" for k, v in value._asdict().items())
                return (
                    f"{where}: {name} ({shapes}) does not fit the other arguments{_sizes(known)}."
                )
            _learn(annotation, value, name, known)
    expected = _expected(signature.return_annotation, known)
    return (
        f"{where}: the result is not {expected}; a function passed to it returned something else."
    )


def _leaves(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _leaves(part)
    else:
        yield annotation


def _arrays(annotation):
    return [a for a in _leaves(annotation) if inspect.isclass(a) and issubclass(a, AbstractArray)]


def _fields(annotation):
    """Array fields of a NamedTuple in the annotation, by name."""
    for leaf in _leaves(annotation):
        if inspect.isclass(leaf) and hasattr(leaf, "_fields"):
            return {name: a for name, a in leaf.__annotations__.items() if _arrays(a)}
    return {}


def _record_fits(value, annotation):
    fields = _fields(annotation) if hasattr(value, "_fields") else {}
    return all(
        isinstance(array, Shaped[type(array), _arrays(fields[name])[0].dim_str])  # type: ignore[arg-type]
        for name in fields
        if hasattr(array := getattr(value, name, None), "shape")
    )


def _learn(annotation, value, name, known):
    for array in _arrays(annotation):
        if hasattr(value, "shape") and len(dims := array.dim_str.split()) == len(value.shape):
            for dim, size in zip(dims, value.shape, strict=True):
                known.setdefault(dim, (size, name))


def _sizes(known):
    if not known:
        return ""
    return " with " + " and ".join(
        f"{d} = {size} (from {name})" for d, (size, name) in known.items()
    )


def _expected(annotation, known):
    arrays = _arrays(annotation)
    words: list[str] = []
    for dims in dict.fromkeys(tuple(a.dim_str.split()) for a in arrays):
        if not dims:
            words.extend(_SCALAR.get(a.dtype.__name__, "a number") for a in arrays)
            continue
        kinds = [_KIND[a.dtype.__name__] for a in arrays if tuple(a.dim_str.split()) == dims]
        listed = " or ".join(dict.fromkeys(kinds))
        shape = f"({', '.join(dims)}{',' if len(dims) == 1 else ''})"
        sizes = _sizes({d: known[d] for d in dims if d in known})
        article = "an" if listed[0] in "aeiou" else "a"
        words.append(f"{article} {listed} array of shape {shape}{sizes}")
    for leaf in _leaves(annotation):
        if leaf not in arrays:
            plain = get_origin(leaf) or leaf
            name = f"{plain.__module__}.{plain.__name__}".removeprefix("mlmath.")
            words.append(_WORD.get(plain, name))
    return " or ".join(sorted(dict.fromkeys(words), key=len))


def _got(value):
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    kind = type(value).__name__
    if isinstance(value, bool | int | float | complex | str | bytes):
        return f"{kind} {value!r:.40}"
    if hasattr(value, "_fields"):
        return f"{type(value).__module__}.{kind}".removeprefix("mlmath.")
    if not isinstance(value, list | tuple | dict | set | frozenset):
        return kind
    return f"{kind} of length {len(value)}{_elements(value)}"


def _elements(value):
    """Shapes and dtypes of what a list holds, never its values: they may be tracers."""
    if not isinstance(value, list | tuple) or not value:
        return ""
    words = [
        type(v).__name__ if isinstance(v, bool | int | float | complex | str | bytes) else _got(v)
        for v in value[:20]
    ]
    kinds = list(dict.fromkeys(words))
    listed = ", ".join(kinds[:-1]) + " and " + kinds[-1] if kinds[1:] else kinds[0]
    return f" of {listed}" if len(kinds) < 4 else f" of {kinds[0]}, {kinds[1]}, …"


def _fix(annotation, value):
    from jax.tree_util import Partial

    if Partial in _leaves(annotation) and callable(value):
        return "; bind the numbers of a function with jax.tree_util.Partial(function, …)"
    pair = getattr(value, "_fields", None) == ("init", "update")  # as all of optax's are
    if pair and any(getattr(leaf, "__name__", "") == "Optimizer" for leaf in _leaves(annotation)):
        return "; take one of optax through optimize.chain.from_optax"
    arrays = _arrays(annotation)
    if not arrays:
        return ""
    if arrays[0].dtype.__name__ == "Key":
        return "; make one with jax.random.key"
    if not hasattr(value, "shape"):
        return "; convert it with jnp.asarray" if isinstance(value, list | tuple) else ""
    alike = [a for a in arrays if len(a.dim_str.split()) == len(value.shape)] or arrays
    kinds, rank = {a.dtype.__name__ for a in alike}, max(len(a.dim_str.split()) for a in arrays)
    if kinds == {"Float"} and value.dtype.kind in "iub":
        return "; measurements are floats: convert with .astype(float)"
    if len(value.shape) == rank == 1 or "..." in arrays[0].dim_str:
        return ""
    if len(value.shape) == 2 and rank == 1 and value.shape[1] == 1:
        return "; flatten the column with .ravel()"
    if len(value.shape) == rank + 1 > 1:
        return "; it takes ONE example: batch it with mlmath.rows(function) or jax.vmap"
    return ""
