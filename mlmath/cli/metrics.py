"""Metrics by name: what ``--metric`` may be for each task, and the score that selection takes.

Names only, so that refusals come without jax; ``evaluate.metrics`` holds the functions.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

from mlmath.cli.refusal import Refusal
from mlmath.nearest import hint

__all__ = ["METRICS", "Metric", "find", "listed", "names", "score", "words"]


class Metric(NamedTuple):
    """A metric as the shell knows it."""

    name: str
    title: str
    sign: int  # 1 if greater is better, −1 for a loss
    functions: dict[str, str]  # task -> function of evaluate.metrics
    decides: bool = False  # judges the class that is decided, not its probability
    second: bool = False  # asks about the second class


_NUMBER, _TWO, _SIDES, _SEVERAL = "number", "two classes", "two sides", "classes"

_PREDICTED = {
    _NUMBER: "a number",
    _TWO: "one of two classes",
    _SIDES: "classes without probabilities",
    _SEVERAL: "one of several classes",
}


def _decided(name, title, tasks=(_TWO, _SIDES)):
    functions = dict.fromkeys(tasks, name)
    return Metric(name, title, 1, functions, decides=True, second=_SEVERAL not in tasks)


_ANY = (_TWO, _SIDES, _SEVERAL)

METRICS = [  # the first of a task is its default
    Metric("r_squared", "R²", 1, {_NUMBER: "r_squared"}),
    Metric("mean_squared_error", "mean squared error", -1, {_NUMBER: "mean_squared_error"}),
    Metric("mean_absolute_error", "mean absolute error", -1, {_NUMBER: "mean_absolute_error"}),
    Metric("log_loss", "log loss", -1, {_TWO: "binary_log_loss", _SEVERAL: "log_loss"}),
    Metric("brier", "Brier score", -1, {_TWO: "brier", _SEVERAL: "multiclass_brier"}),
    Metric("roc_auc", "area under the ROC curve", 1, {_TWO: "roc_auc"}),
    Metric("average_precision", "average precision", 1, {_TWO: "average_precision"}, second=True),
    _decided("accuracy", "accuracy", _ANY),
    _decided("balanced_accuracy", "balanced accuracy", _ANY),
    _decided("precision", "precision"),
    _decided("recall", "recall"),
    _decided("f_score", "F₁ score"),
]


def names(task: str) -> list[str]:
    """Metrics of a task, the default first."""
    return [metric.name for metric in METRICS if task in metric.functions]


def listed() -> str:
    """All names, for the help of ``--metric``."""
    number = names(_NUMBER)
    classes = [metric.name for metric in METRICS if metric.name not in number]
    return f"of a number {', '.join(number)}, of classes {', '.join(classes)}"


def find(name: str | None, task: str) -> Metric:
    """Return the metric of that name, or the default of the task.

    Raises:
        Refusal: if the task has no such metric; the message suggests the nearest.
    """
    known = {metric.name: metric for metric in METRICS if task in metric.functions}
    written = next(iter(known)) if name is None else name.replace("-", "_")
    if written in known:
        return known[written]
    known_names = f"there are {', '.join(known)}."
    if any(metric.name == written for metric in METRICS):
        what = _PREDICTED[task]
        raise Refusal(f"--metric {name} is not for a model that predicts {what}; {known_names}")
    raise Refusal(
        f"there is no metric '{name}' for this model; {hint(written, known, known_names)}"
    )


def words(metric: Metric, labels: Sequence[Any]) -> str:
    """Say the metric and which way is better.

    >>> words(find("log_loss", "classes"), [])
    'log loss, lower is better'
    """
    of = f" of {labels[1]}" if metric.second else ""
    return f"{metric.title}{of}, {'higher' if metric.sign > 0 else 'lower'} is better"


def score(metric: Metric, task: str, predict: Callable[..., Any], classes: int) -> Any:
    """Score of ``evaluate.scorer`` by this metric, greater is better; equal for equal arguments."""
    from mlmath.evaluate import metrics, scorer

    function = getattr(metrics, metric.functions[task])
    if metric.name == "balanced_accuracy":
        function = _of_classes(function, classes)
    rules = {_TWO: metrics.decided, _SEVERAL: metrics.most_probable}
    if metric.decides and task in rules:
        predict = _decision(predict, rules[task])
    return (scorer.scorer if metric.sign > 0 else scorer.of_loss)(predict, function)


@cache
def _of_classes(function, classes):
    return partial(function, classes=classes)


@cache
def _decision(predict, rule):
    def decide(params, x):
        """Class of ONE example."""
        return rule(predict(params, x))

    return decide
