"""k-means at the shell: the best of many starts, its clusters in the units of the file."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mlmath.cli import report
from mlmath.cli.found import Found, Structure, groups, standard
from mlmath.cli.pipeline import Part
from mlmath.evaluate import clusters
from mlmath.latent import kmeans, pca
from mlmath.linalg.nearest import nearest

__all__ = ["KMEANS", "against_groups", "described", "plane", "sizes", "went_on"]

_MOST = 5000  # rows of which silhouettes are taken
_STRIP = 6  # most steps that are drawn
_SHOWN = 8  # most clusters that the facts describe


def _bind(given):
    return Part(partial(_fit, **given), kmeans.transform)


def _fit(X, y, *, sample_weight=None, k=8, seed=0, seeds=10, **stopping):
    """Lloyd's steps from the best of ``seeds`` starts."""
    starts = kmeans.sweep(
        jax.random.key(seed), X, sizes=(k,), seeds=seeds, sample_weight=sample_weight, **stopping
    )
    best = starts.best[0]
    found = kmeans.fit(starts.centroids[0][best], X, sample_weight=sample_weight, **stopping)
    return found._replace(certificate=went_on(found.certificate, starts.certificate.steps[0, best]))


def went_on(certificate: Any, before: Any) -> Any:
    """Certificate of steps that followed others."""
    return certificate._replace(steps=certificate.steps + before)


def sizes(
    X: np.ndarray, weight: np.ndarray, sizes: tuple[int, ...], by: str, given: dict[str, Any]
) -> tuple[Any, ...]:
    """Inertia, silhouette and, where it chooses, the gap statistic of each size (``sizes``)."""
    key = jax.random.key(given["seed"])
    stopping = {name: given[name] for name in ("tolerance", "max_steps") if name in given}
    run: Any = partial(kmeans.sweep, sizes=sizes, seeds=given["seeds"], **stopping)
    found = run(key, X, sample_weight=weight)
    inertia = np.asarray(found.certificate.objective).min(axis=1)
    columns = {"inertia": inertia, "silhouette": _means(X, weight, found, sizes)}
    if by == "gap":
        gap = clusters.gap_statistic(
            jax.random.key(given["seed"]), partial(_inertias, run), X, sample_weight=weight
        )
        columns |= {"gap": np.asarray(gap.gap), "standard error of the gap": np.asarray(gap.error)}
        chosen = sizes[int(gap.chosen)] if np.isfinite(columns["gap"]).any() else 0
        axis = "gap statistic, higher is better"
        return chosen, columns, axis, ("gap",), columns["standard error of the gap"]
    if by == "elbow":
        chosen = int(clusters.elbow(np.asarray(sizes), inertia).chosen)
        return chosen, columns, "inertia, lower is better", ("inertia",), None
    score = columns["silhouette"]
    chosen = sizes[int(np.nanargmax(score))] if np.isfinite(score).any() else 0
    return chosen, columns, "mean silhouette, higher is better", ("silhouette",), None


def _inertias(run, key, X, *, sample_weight):
    return jnp.min(run(key, X, sample_weight=sample_weight).certificate.objective, axis=1)


def _means(X, weight, found, sizes):
    """Mean silhouette of the best lane of each size; one cluster has none."""
    part, share = _drawn(X, weight)
    means = []
    for i, k in enumerate(sizes):
        C = np.asarray(found.centroids[i, found.best[i], :k])
        label = np.asarray(nearest(part, C).indices, X.dtype)
        mean = clusters.silhouette(part, label, classes=max(sizes), sample_weight=share).mean
        means.append(float(mean))
    return np.array(means)


def _drawn(X, weight, most=_MOST):
    """So many rows, drawn evenly, as silhouettes compare all pairs."""
    rows = np.flatnonzero(weight > 0)
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    return X[rows], weight[rows]


def _columns(applied):
    return {"cluster": applied.argmin(axis=1) + 1, "distance": applied.min(axis=1)}


def _facts(found):
    label, k = found.applied.argmin(axis=1), found.applied.shape[1]
    certificate = found.fitted.certificate
    null = certificate.objective if k == 1 else _spread(found)
    facts = {"inertia": f"{1 - float(certificate.objective) / null:.1%} less than one cluster's"}
    if len(np.unique(label)) > 1:
        mean, count = _silhouettes(found, label, k)[0].mean, len(label)
        some = f" of {_MOST} rows drawn" if count > _MOST else ""
        facts["silhouette"] = f"{float(mean):.3f} on the mean{some} (1 is far apart, 0 is between)"
    return facts | against_groups(found, label) | described(found, label, k, "cluster")


def _spread(found):
    Z, s = standard(found), found.weight
    return float(s @ ((Z - s @ Z / s.sum()) ** 2).sum(axis=1))


def _silhouettes(found, label, k):
    """Silhouettes of the rows, or of a part of very many, with their clusters and weights."""
    rows, weight = _drawn(np.c_[standard(found), label], found.weight)
    label = rows[:, -1]
    return clusters.silhouette(rows[:, :-1], label, classes=k, sample_weight=weight), label, weight


def against_groups(found: Found, label: np.ndarray) -> dict[str, str]:
    """How the clusters agree with the column that was left out, where it has few entries."""
    codes, names = groups(found)
    if codes is None or names is None:
        return {}
    classes = int(max(codes.max(), label.max())) + 1
    index = clusters.adjusted_rand(
        label.astype(float), codes.astype(float), classes=classes, sample_weight=found.weight
    )
    return {"agreement": f"adjusted Rand index {float(index):.3f} with the column left out"}


def described(found: Found, label: np.ndarray, k: int, word: str) -> dict[str, str]:
    """Weight of each cluster, and the columns in which its mean is farthest from that of all."""
    s, X = found.weight, found.rows
    center = s @ X / s.sum()
    spread = np.sqrt(s @ (X - center) ** 2 / s.sum())
    facts = {}
    for j in range(min(k, _SHOWN)):
        share = s * (label == j)
        if not share.any():
            facts[f"{word} {j + 1}"] = "no rows"
            continue
        mean = share @ X / share.sum()
        apart = np.abs(mean - center) / np.where(spread > 0, spread, 1)
        far = np.argsort(-apart, kind="stable")[:4]
        told = ", ".join(f"{found.names[i]} {mean[i]:.4g}" for i in far)
        facts[f"{word} {j + 1}"] = f"{share.sum():.6g} rows, mean {told}"
    return facts | ({"": f"and {k - _SHOWN} more {word}s"} if k > _SHOWN else {})


def plane(found: Found) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]] | None:
    """Rows in two coordinates, the map z ↦ origin + z Bᵀ of standard units to them, their names.

    Two columns are drawn as they are in the file, more along their first two components.
    """
    Z, d = standard(found), found.rows.shape[1]
    if d < 2:
        return None
    if d == 2:
        origin, scale = np.broadcast_to(found.center, 2), np.broadcast_to(found.scale, 2)
        return found.rows, origin, np.diag(scale), found.names
    fitted = pca.fit(Z, k=2, sample_weight=found.weight.astype(Z.dtype))
    V, mean = np.asarray(fitted.params.components), np.asarray(fitted.params.mean)
    names = [f"component {j}: {share:.1%} of the variance"
             for j, share in enumerate(np.asarray(fitted.explained), 1)]  # fmt: skip
    return (Z - mean) @ V.T, -V @ mean, V, names


def _figures(found: Found) -> Mapping[str, bytes]:
    from mlmath.plot import clusters as drawing

    label, k = found.applied.argmin(axis=1), found.applied.shape[1]
    drawn, seen = {}, plane(found)
    names = [f"cluster {j + 1}" for j in range(k)]
    if seen is not None:
        points, origin, B, axes = seen
        centroids = origin + np.asarray(found.fitted.params.centroids) @ B.T
        drawn["Clusters, with ellipses of one and two standard deviations"] = report.png(
            drawing.partition(
                points, label, means=centroids, sample_weight=found.weight, names=axes,
                covariances=_covariances(points, label, found.weight, k), clusters=names,
            )
        )  # fmt: skip
        flat = standard(found) if len(found.names) == 2 else points
        unit = ", in standard units" if len(found.names) == 2 and np.any(found.scale != 1) else ""
        strip = drawing.steps(
            flat, _path(flat, found.weight, k), sample_weight=found.weight,
            names=[axis + unit for axis in axes], shown=_STRIP,
        )  # fmt: skip
        drawn["Lloyd's steps in this plane, from rows drawn at random"] = report.png(strip)
    if len(np.unique(label)) > 1:
        found_values, label, weight = _silhouettes(found, label, k)
        silhouettes = drawing.silhouettes(
            np.asarray(found_values.values), label.astype(int), sample_weight=weight, clusters=names
        )
        drawn["Silhouettes"] = report.png(silhouettes)
    return drawn


def _covariances(points, label, weight, k):
    """Covariance matrix of the rows of each cluster, zeros where it has none."""
    shares = (label == np.arange(k)[:, None]) * weight
    shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-300)
    apart = points[None] - (shares @ points)[:, None]
    return np.einsum("kn,kni,knj->kij", shares, apart, apart)


def _path(points, weight, k):
    """Centroids after 0, 1, … steps, and at the end."""
    start = kmeans.init_random(jax.random.key(1), points, k=k, sample_weight=weight)
    fit: Any = partial(kmeans.fit, start, points, sample_weight=weight)
    counts = range(int(fit().certificate.steps) + 1)
    return np.stack([np.asarray(fit(max_steps=t).params.centroids) for t in counts])


def _most(rows, columns):
    return rows


KMEANS = Structure(_bind, _most, _columns, _facts, _figures)
