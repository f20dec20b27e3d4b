"""Filling: gaps of a column of numbers take the mean of the rows that are trained on.

With marks mᵢⱼ ∈ {0, 1}, 1 where the entry xᵢⱼ is a gap, and weights sᵢ,

    μⱼ = Σᵢ sᵢ (1 − mᵢⱼ) xᵢⱼ / Σᵢ sᵢ (1 − mᵢⱼ)                                  (1)

    t(μ, x)ⱼ = μⱼ where mⱼ = 1, else xⱼ                                        (2)

so that in every fold a gap is filled from its training rows alone, as ``mlmath fit`` fills it
where rows are held out. On all rows (1) is what ``data.columns.fill`` has put there, and (2)
changes nothing. A column without a training row that has no gap has the mean NaN.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Real
from mlmath.data import columns as tables
from mlmath.statistics.compose import Composed, compose

__all__ = ["Filling", "Fit", "inside"]


class Fit(NamedTuple):
    """What ``compose`` asks of a fit."""

    params: Float[Array, " j"]  # μ, of the columns with gaps


class Filling(NamedTuple):
    """A transformation for ``compose``; the mark of a column stands right after it."""

    places: tuple[int, ...]  # columns of the matrix with gaps

    def fit(self, X: Float[Real, "n d"], *, sample_weight: Float[Real, " n"]) -> Fit:
        """Learn the means, eq. (1)."""
        entries, marks = X[:, self._columns], X[:, self._columns + 1]
        present = sample_weight[:, None] * (1 - marks)
        return Fit(jnp.sum(present * entries, axis=0) / jnp.sum(present, axis=0))

    def transform(self, params: Float[Array, " j"], x: Float[Real, " d"]) -> Float[Array, " d"]:
        """Fill the gaps of ONE example, eq. (2)."""
        x, at = jnp.asarray(x), self._columns
        return x.at[at].set(jnp.where(x[at + 1] == 1, params, x[at]))

    @property
    def _columns(self):
        return jnp.array(self.places)


def inside(described: Sequence[tables.Column], model: Composed) -> Composed:
    """Put the filling of numbers before the model, as part of its fit."""
    places, at = [], 0
    for column in described:
        if column.filled and column.categories is None:
            places.append(at)
        at += 1 + column.filled
    filling: Any = Filling(tuple(places))
    return compose(filling, model) if places else model
