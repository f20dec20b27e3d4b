"""The tour: each model on real data, with its mathematics, its score and its certificate."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from mlmath.cli import report, runtime

__all__ = ["run", "tour"]


class _Stop(NamedTuple):
    """One stop of the tour."""

    title: str
    data: str
    formula: str
    visit: Callable[["_Split", int], tuple[dict[str, str], dict[str, bytes]]]


class _Split(NamedTuple):
    """A data set in two parts, scaled by the first."""

    X: Any
    y: Any
    held_X: Any  # noqa: N815
    held_y: Any
    names: list[str]


def tour(
    out: Annotated[Path | None, "run folder; a new one under runs/ if not given"] = None,
    seed: Annotated[int, "of the split into training and held-out rows"] = 0,
    dtype: Annotated[str, "auto, float32 or float64"] = "auto",
    json: Annotated[bool, "print the facts as JSON instead of tables"] = False,
) -> int:
    """Fit real models to real data; show score, certificate and time; write a report."""
    began = time.perf_counter()
    dtype = runtime.prepare(dtype)
    folder = report.run_folder(out or Path("runs") / time.strftime("tour-%Y%m%d-%H%M%S"))
    sections = []
    for stop in _STOPS:
        split = _split(stop.data, seed, dtype)
        facts, figures = stop.visit(split, seed)
        rows = f"{stop.data}: {len(split.y)} rows to fit, {len(split.held_y)} held out, "
        facts = {"data": f"{rows}{len(split.names)} features"} | facts
        facts["device"] = f"{runtime.device()}, {dtype}"
        sections.append(report.Section(stop.title, stop.formula, facts, figures))
        if not json:
            _show(sections[-1])
    seconds = time.perf_counter() - began
    _save(folder, sections, seconds)
    if json:
        print(_as_json(sections, seconds, folder))
    else:
        print(f"{len(sections)} models in {seconds:.1f} s; open {folder / 'report.html'}")
    return 0


def run(words: list[str]) -> int:
    """Run the tour with the words of the command line."""
    import tyro

    return tyro.cli(tour, prog="mlmath", args=words)


def _split(name, seed, dtype):
    """A quarter of the rows held out; features in standard deviations of the others."""
    import numpy as np

    from mlmath.data import datasets

    X, y = datasets.arrays(name)
    order = np.random.default_rng(seed).permutation(len(y))
    held, kept = np.split(order, [len(y) // 4])
    center, scale = X[kept].mean(axis=0), X[kept].std(axis=0)
    X, y = ((X - center) / scale).astype(dtype), y.astype(dtype)
    names = datasets.load(name).drop(datasets.CATALOGUE[name].target).columns
    return _Split(X[kept], y[kept], X[held], y[held], names)


def _timed(function):
    """The result, and the seconds of the first call and of the next."""
    import jax

    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        result = jax.block_until_ready(function())
        seconds.append(time.perf_counter() - start)
    return result, f"{seconds[0]:.2f} s the first time, {1e3 * seconds[1]:.1f} ms again"


def _proof(certificate):
    word = "converged" if certificate.converged else "NOT converged"
    return f"within {float(certificate.gap):.1e} of the optimum ({word}, {certificate.steps} steps)"


def _ridge(split, seed):
    import jax
    import jax.numpy as jnp

    import mlmath
    from mlmath.linear import ridge
    from mlmath.plot import regression

    fitted, seconds = _timed(lambda: ridge.fit(split.X, split.y, l2=10.0))
    predicted = mlmath.rows(ridge.predict)(fitted.params, split.held_X)
    error = jnp.sqrt(jnp.mean((predicted - split.held_y) ** 2))
    baseline = jnp.sqrt(jnp.mean((split.y.mean() - split.held_y) ** 2))

    def held_out(log_l2):
        params = ridge.fit(split.X, split.y, l2=jnp.exp(log_l2)).params
        return jnp.mean((mlmath.rows(ridge.predict)(params, split.held_X) - split.held_y) ** 2)

    slope = jax.grad(held_out)(jnp.log(10.0))
    penalties = jnp.logspace(-2, 5, 100)
    path, path_seconds = _timed(
        lambda: jax.vmap(lambda l2: ridge.fit(split.X, split.y, l2=l2))(penalties)
    )
    facts = {
        "held-out error": f"{error:.1f} (root mean square); the mean alone {baseline:.1f}",
        "certificate": _proof(fitted.certificate),
        "one fit": seconds,
        "100 penalties in one call": path_seconds,
        "gradient through the fit": f"d(held-out squared error)/d(log λ) = {slope:.2f} at λ = 10",
    }
    figures = {
        "Held-out patients: predicted against observed progression": report.png(
            regression.predicted_against_observed(predicted, split.held_y, unit="progression")
        ),
        "Every weight at 100 penalties, all fitted in one call": report.png(
            regression.coefficient_path(penalties, path.params.weights, split.names, chosen=10.0)
        ),
    }
    return facts, figures


def _logistic_regression(split, seed):
    import jax
    import jax.numpy as jnp

    import mlmath
    from mlmath.linear import logistic_regression
    from mlmath.plot import classification, regression

    fitted, seconds = _timed(lambda: logistic_regression.fit(split.X, split.y, l2=1.0))
    probability = mlmath.rows(logistic_regression.predict)(fitted.params, split.held_X)
    accuracy = jnp.mean((probability > 0.5) == (split.held_y == 1))
    majority = jnp.mean(split.held_y == jnp.round(split.y.mean()))
    penalties = jnp.logspace(-2, 4, 100)
    path, path_seconds = _timed(
        lambda: jax.vmap(lambda l2: logistic_regression.fit(split.X, split.y, l2=l2))(penalties)
    )
    facts = {
        "held-out accuracy": f"{accuracy:.1%}; the larger class alone {majority:.1%}",
        "certificate": _proof(fitted.certificate),
        "one fit": seconds,
        "100 penalties in one call": path_seconds,
        "their certificates": f"{int(path.certificate.converged.sum())} of 100 converged",
    }
    figures = {
        "Held-out tumours: predicted probability of malignancy, by diagnosis": report.png(
            classification.probabilities(
                probability, split.held_y, negative="benign", positive="malignant"
            )
        ),
        "Receiver operating characteristic on the held-out tumours": report.png(
            classification.receiver_operating_characteristic(probability, split.held_y)
        ),
        "Every weight at 100 penalties, all fitted in one call": report.png(
            regression.coefficient_path(penalties, path.params.weights, split.names, chosen=1.0)
        ),
    }
    return facts, figures


_STOPS = [
    _Stop(
        "Ridge regression",
        "diabetes",
        "L(w, b) = ½ Σᵢ sᵢ (yᵢ − wᵀxᵢ − b)² + λ/2 ‖w‖²",
        _ridge,
    ),
    _Stop(
        "Logistic regression",
        "breast_cancer",
        "L(w, b) = Σᵢ sᵢ [log(1 + e^zᵢ) − yᵢ zᵢ] + λ/2 ‖w‖²,   zᵢ = wᵀxᵢ + b",
        _logistic_regression,
    ),
]


def _show(section):
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True, style="dim")
    table.add_column()
    for label, value in {"mathematics": section.formula, **section.facts}.items():
        table.add_row(label, Text(value))
    console.print(section.title, style="bold")
    console.print(table)
    console.print()


def _as_json(sections, seconds, folder):
    models = [{"title": s.title, "formula": s.formula, **s.facts} for s in sections]
    return json.dumps({"models": models, "seconds": seconds, "run": str(folder)}, indent=2)


def _save(folder, sections, seconds):
    for section in sections:
        for number, image in enumerate(section.figures.values(), 1):
            name = section.title.lower().replace(" ", "_")
            report.write(folder / f"{name}_{number}.png", image)
    lead = f"{len(sections)} models on real data, fitted and proved in {seconds:.1f} seconds."
    report.write(folder / "report.html", report.page("A tour of mlmath", lead, sections))
