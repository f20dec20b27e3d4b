"""Gaussian mixtures at the shell: the best of many starts, components and how likely rows are."""

from functools import partial
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mlmath.cli import report
from mlmath.cli.clustering import against_groups, described, plane, went_on
from mlmath.cli.found import Structure
from mlmath.cli.pipeline import Part
from mlmath.latent import full_mixture, mixture_sweep, tied_mixture

__all__ = ["MIXTURE", "family", "matrices", "sizes"]


def family(covariance: str) -> Any:
    """Module of the mixtures with such covariances."""
    return import_module(f"mlmath.latent.{covariance}_mixture")


def _bind(given):
    covariance = given.get("covariance", "full")
    return Part(partial(_fit, **given), partial(_apply, covariance=covariance))


def _fit(X, y, *, sample_weight=None, k=2, seed=0, seeds=10, covariance="full", **given):
    """EM from the start, of ``seeds``, that ends in the least objective."""
    module = family(covariance)
    found = mixture_sweep.sweep(
        module.FAMILY, jax.random.key(seed), X, sizes=(k,), seeds=seeds,
        sample_weight=sample_weight, **given,
    )  # fmt: skip
    objective, converged = found.certificate.objective[0], found.certificate.converged[0]
    objective = jnp.where(jnp.isfinite(objective), objective, jnp.inf)
    best = jnp.argmin(jnp.where(converged | ~converged.any(), objective, jnp.inf))
    start = module.Params(*jax.tree.map(lambda a: a[0, best], found.params))
    fitted = module.fit(start, X, sample_weight=sample_weight, **given)
    steps = found.certificate.steps[0, best]
    return fitted._replace(certificate=went_on(fitted.certificate, steps))


def sizes(
    X: np.ndarray, weight: np.ndarray, sizes: tuple[int, ...], by: str, given: dict[str, Any]
) -> tuple[Any, ...]:
    """Log-likelihood, BIC and AIC of each size (``sizes``)."""
    numbers = {name: v for name, v in given.items() if name not in ("seed", "covariance")}
    found = mixture_sweep.sweep(
        family(given["covariance"]).FAMILY, jax.random.key(given["seed"]), X, sizes=sizes,
        sample_weight=weight, **numbers,
    )  # fmt: skip
    criteria = {"bic": found.bic, "aic": found.aic}
    place, _ = mixture_sweep.best(criteria[by])
    settled = np.asarray(found.certificate.converged)
    counted = settled | ~settled.any(axis=1, keepdims=True)
    likelihood = np.where(counted, found.log_likelihood, np.nan)
    best = np.where(np.isnan(likelihood), -np.inf, likelihood).max(axis=1)
    columns = {"log likelihood": np.where(np.isfinite(best), best, np.nan)}
    for name, values in criteria.items():
        least = np.where(np.isnan(values), np.inf, values).min(axis=1)
        columns[name] = np.where(np.isfinite(least), least, np.nan)
    chosen = sizes[int(place)] if np.isfinite(columns[by]).any() else 0
    quantity = "information criterion, lower is better"
    return chosen, columns, quantity, tuple(criteria), None


def _apply(params, x, *, covariance="full"):
    """Probability of each component, and the log density."""
    module = family(covariance)
    shares, density = module.predict(params, x), module.log_prob(params, x)
    return jnp.concatenate([shares, density[None]])


def _columns(applied):
    shares = applied[:, :-1]
    named = {f"probability of component {j}": p for j, p in enumerate(shares.T, 1)}
    return {"component": shares.argmax(axis=1) + 1, **named, "log density": applied[:, -1]}


def matrices(params: Any) -> np.ndarray:
    """Covariance matrix of each component, whatever the family keeps of it."""
    means, kept = np.asarray(params.means), np.asarray(params.covariances)
    if isinstance(params, full_mixture.Params):
        return kept
    if isinstance(params, tied_mixture.Params):
        return np.stack([kept] * len(means))
    return np.stack([np.diag(np.broadcast_to(v, means.shape[1])) for v in kept])


def _facts(found):
    params, s = found.fitted.params, found.weight
    label, k = found.applied[:, :-1].argmax(axis=1), len(params.weights)
    likelihood, total = float(s @ found.applied[:, -1]), s.sum()
    unit = ", in standard units" if np.any(found.scale != 1) else ""
    facts = {
        "log density": f"{likelihood / total:.4f} on the mean of the rows{unit}",
        "weights": ", ".join(f"{p:.3f}" for p in np.asarray(params.weights)),
    }
    return facts | against_groups(found, label) | described(found, label, k, "component")


def _figures(found):
    from mlmath.plot import clusters as drawing

    seen = plane(found)
    if seen is None:
        return {}
    points, origin, B, axes = seen
    params, label = found.fitted.params, found.applied[:, :-1].argmax(axis=1)
    means = origin + np.asarray(params.means) @ B.T
    covariances = B @ matrices(params) @ B.T
    names = [f"component {j + 1}" for j in range(len(means))]
    drawn = drawing.partition(
        points, label, means=means, covariances=covariances, sample_weight=found.weight,
        names=axes, clusters=names,
    )  # fmt: skip
    return {"Components, with ellipses of one and two standard deviations": report.png(drawn)}


def _most(rows, columns):
    return rows


MIXTURE = Structure(_bind, _most, _columns, _facts, _figures)
