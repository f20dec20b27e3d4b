"""Folds: which rows train and which rows test, as masks that multiply the weights.

A row of weight 0 is absent, whatever it holds: only the m rows that count (all n without
weights) are numbered, and a fold is a rule about these numbers. In an order of the rows the
place of row i is

    rᵢ = max(0, #{j not after i : sⱼ ≠ 0} − 1)                                 (1)

so that a row of weight 0 goes with the one that counts before it: there it harms no balance,
and a derivative in its weight is its influence. Row i is a test row of fold f of k if

    k_fold, stratified:           rᵢ mod k = f                                 (2)
    contiguous:                   b(f) ≤ rᵢ < b(f + 1)                         (3)
    shuffle, stratified_shuffle:  rᵢ < t,   t = ⌈pm⌉ for the share p           (4)
    time_series:                  a(f) ≤ rᵢ < a(f) + t                         (5)

with b(f) = f⌊m/k⌋ + min(f, m mod k) and a(f) = m − (k − f)t. The others train; in time_series
those with a(f) − g − u ≤ rᵢ < a(f) − g for a gap of g rows and a training of u rows at most.
The order is random in k_fold and shuffle, that of the labels and random within a label in
stratified, the given one in contiguous and time_series. stratified_shuffle orders by

    jᵢ − t cᵢ/m,  where row i is the jᵢ-th of the cᵢ that count of its label   (6)

in random order within a label, and labels of equal remainders in random order: a label has
⌊tc/m⌋ test rows, and one more where the remainder of tc/m is among the largest. group takes the
groups by falling Σs, of equals the one with the largest label first, and gives

    each to the fold whose Σs is the least so far, of equals the first.        (7)

The folds' numbers of test rows differ by 1 at most in (2) and (3), in stratified those of each
label too. Values cannot raise: a label with fewer rows than folds is missing from the tests of
some, folds beyond the number of rows that count or of groups test on nothing, and a fold
is as large as its largest group. A row of weight 2 counts as one row in (1), which nothing can
divide, and as two in (7).

Time O(n log n) per order and one sequential step per group, memory O(kn). Masks are discrete
and have no derivative. Of sharded rows labels and masks move, as sorting needs; X does not.

>>> import jax, jax.numpy as jnp
>>> from mlmath.evaluate import folds
>>> y = jnp.array([0, 0, 0, 0, 0, 0, 1, 1, 1])
>>> outer = folds.stratified(jax.random.key(0), y, folds=3)
>>> print(outer.test.sum(axis=1), (outer.test & (y == 1)[None]).sum(axis=1))
[3 3 3] [1 1 1]

Nested selection divides the training rows of each outer fold: they are the rows that count.
Masks multiply, so ``outer.train[o] & inner.train[o, f]`` trains and ``outer.train[o] &
inner.test[o, f]`` tests, and the labels of the outer test rows move no other row. One inner
``Folds`` for all outer folds multiplies as well, and is balanced on average only.

>>> key = jax.random.key(1)
>>> inner = jax.vmap(
...     lambda train: folds.stratified(key, y, folds=2, sample_weight=train.astype(float))
... )(outer.train)
>>> print((outer.train[:, None] & inner.test).sum(axis=2))
[[3 3]
 [3 3]
 [3 3]]

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §7.10.
    Cawley & Talbot (2010), On over-fitting in model selection, §5, for nested selection.
    Kleinberg & Tardos (2005), Algorithm Design, §11.1, Sorted-Balance, for (7).
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from mlmath.arrays import Key, Labels, Real
from mlmath.compiled import compiled

__all__ = [
    "Folds", "contiguous", "group", "k_fold", "leave_one_out", "repeated", "shuffle",
    "stratified", "stratified_shuffle", "time_series",
]  # fmt: skip

Weight: TypeAlias = Float[Real, " n"] | None


class Folds(NamedTuple):
    """Masks over the rows, one line per fold; they multiply ``sample_weight``."""

    train: Bool[Array, "f n"]
    test: Bool[Array, "f n"]


@compiled(static=("n", "folds"))
def k_fold(key: Key, n: int, *, folds: int = 5, sample_weight: Weight = None) -> Folds:
    """Deal n shuffled rows to ``folds`` folds, eq. (2)."""
    _check(n, folds, sample_weight)
    r, _ = _places(_shuffled(key, n), sample_weight)
    return _partition(r % folds, folds)


@compiled(static=("n", "folds"))
def contiguous(n: int, *, folds: int = 5, sample_weight: Weight = None) -> Folds:
    """Cut n rows as they lie into ``folds`` blocks, eq. (3)."""
    _check(n, folds, sample_weight)
    r, m = _places(jnp.arange(n), sample_weight)
    f = jnp.arange(1, folds)
    b = f * (m // folds) + jnp.minimum(f, m % folds)
    return _partition((r[None] >= b[:, None]).sum(axis=0), folds)


@compiled(static=("folds",))
def stratified(key: Key, y: Labels, *, folds: int = 5, sample_weight: Weight = None) -> Folds:
    """Deal the rows label by label, shuffled within each, eq. (2).

    A continuous y is dealt along its values, so that its distribution is alike in all folds.
    """
    n = y.shape[0]
    _check(n, folds, sample_weight)
    r, _ = _places(_shuffled(key, n, jnp.asarray(y)), sample_weight)
    return _partition(r % folds, folds)


@compiled(static=("folds",))
def group(groups: Labels, *, folds: int = 5, sample_weight: Weight = None) -> Folds:
    """Keep rows of one group in one fold, and the folds' Σs balanced greedily, eq. (7).

    Deterministic. NaN is a group of its own; a group without weight goes to the first fold.
    """
    n = groups.shape[0]
    _check(n, folds, sample_weight)
    weight = jnp.ones(n, int) if sample_weight is None else jnp.asarray(sample_weight)
    order = jnp.argsort(jnp.asarray(groups))
    member = _runs(jnp.asarray(groups)[order])
    load = jax.ops.segment_sum(weight[order], member, n)
    falling = jnp.argsort(load)[::-1]

    def give(g, state):
        total, fold = state
        lightest = jnp.argmin(total)
        return total.at[lightest].add(load[falling[g]]), fold.at[falling[g]].set(lightest)

    start = jnp.zeros(folds, load.dtype), jnp.zeros(n, int)
    _, fold = lax.fori_loop(0, (load != 0).sum(), give, start)
    return _partition(jnp.zeros(n, int).at[order].set(fold[member]), folds)


def repeated(key: Key, make: Callable[[Key], Folds], *, repeats: int = 10) -> Folds:
    """Folds of ``repeats`` independent draws, one draw after the other.

    Args:
        key: source of the draws.
        make: folds from a key, such as ``lambda key: stratified(key, y)``.
        repeats: number of draws.
    """
    _check_least(repeats=(repeats, 1))
    drawn = jax.vmap(make)(jax.random.split(key, repeats))
    return jax.tree.map(lambda mask: mask.reshape(-1, mask.shape[-1]), drawn)


@compiled(static=("n",))
def leave_one_out(n: int) -> Folds:
    """One fold per row, which tests on it alone: on nothing if its weight is 0. Memory O(n²)."""
    _check_least(n=(n, 2))
    return _partition(jnp.arange(n), n)


@compiled(static=("n", "folds", "test_share"))
def shuffle(
    key: Key, n: int, *, folds: int = 10, test_share: float = 0.1, sample_weight: Weight = None
) -> Folds:
    """Draw a share of the rows as test rows, anew for each fold, eq. (4); one fold holds out."""
    _check_share(n, folds, test_share, sample_weight)

    def draw(key):
        r, m = _places(_shuffled(key, n), sample_weight)
        return r < _test_size(test_share, n, m)

    test = lax.map(draw, jax.random.split(key, folds))
    return Folds(~test, test)


@compiled(static=("folds", "test_share"))
def stratified_shuffle(
    key: Key, y: Labels, *, folds: int = 10, test_share: float = 0.1, sample_weight: Weight = None
) -> Folds:
    """Draw a share of each label as test rows, anew for each fold, eqs. (4) and (6).

    A label of few rows may be missing from training or test.
    """
    n, y = y.shape[0], jnp.asarray(y)
    _check_share(n, folds, test_share, sample_weight)

    def draw(key):
        order_key, tie_key = jax.random.split(key)
        order = _shuffled(order_key, n, y)
        member, counted = _runs(y[order]), _counted(n, sample_weight)[order]
        c = jax.ops.segment_sum(counted.astype(int), member, n)
        j = jnp.cumsum(counted) - (jnp.cumsum(c) - c)[member]
        t = _test_size(test_share, n, c.sum())
        tie = jax.random.bits(tie_key, (n,), "uint32")[member]
        order = order[jnp.lexsort((tie, j - c[member] * (t / c.sum())))]
        return _places(order, sample_weight)[0] < t

    test = lax.map(draw, jax.random.split(key, folds))
    return Folds(~test, test)


@compiled(static=("n", "folds", "gap", "test_size", "max_train_size"))
def time_series(
    n: int,
    *,
    folds: int = 5,
    gap: int = 0,
    test_size: int | None = None,
    max_train_size: int | None = None,
    sample_weight: Weight = None,
) -> Folds:
    """Train on the past and test on what follows, eq. (5).

    Args:
        n: number of rows, in the order of time.
        folds: number of tests, which are the last rows.
        gap: g, rows left out between training and test.
        test_size: t, rows of each test; ⌊m / (folds + 1)⌋ if None.
        max_train_size: u, most rows to train on, the latest; all of the past if None.
        sample_weight: a row of weight 0 takes no place in time.
    """
    _check(n, folds, sample_weight)
    _check_least(gap=(gap, 0), test_size=(test_size, 1), max_train_size=(max_train_size, 1))
    if n == folds or n - gap - folds * (test_size or n // (folds + 1)) < 1:
        given = f"{n} rows, folds={folds}, gap={gap}, test_size={test_size}"
        raise ValueError(f"nothing is left to train on of {given}; lower one of these.")
    r, m = _places(jnp.arange(n), sample_weight)
    r = r[None]
    t = test_size or m // (folds + 1)
    a = (m - jnp.arange(folds, 0, -1) * t)[:, None]
    since = a - gap - (max_train_size or n)
    return Folds((r >= since) & (r < a - gap), (r >= a) & (r < a + t))


def _shuffled(key, n, *labels):
    """Order of the rows by label, at random within: 64 random bits leave no ties."""
    return jnp.lexsort((*jax.random.bits(key, (2, n), "uint32"), *labels))


def _counted(n, weight):
    return jnp.ones(n, jnp.bool_) if weight is None else jnp.asarray(weight) != 0


def _places(order, weight):
    """Place (1) of each row in the order, and the number m of rows that count."""
    n = order.shape[0]
    upto = jnp.cumsum(_counted(n, weight)[order])
    r = jnp.zeros(n, int).at[order].set(jnp.maximum(upto - 1, 0), unique_indices=True)
    return r, upto[-1]


def _runs(ordered):
    """Number of the run of equal values that each belongs to."""
    return jnp.cumsum(jnp.append(False, ordered[1:] != ordered[:-1]))


def _test_size(p, n, m):
    """⌈pm⌉ of m ≤ n: a table, as a traced product would round otherwise in float32."""
    return jnp.asarray(np.ceil(p * np.arange(n + 1)).astype(int))[m]


def _partition(fold, folds):
    """Each row tests in its fold and trains in the others."""
    test = fold[None] == jnp.arange(folds)[:, None]
    return Folds(~test, test)


def _check(n, folds, weight):
    _check_least(folds=(folds, 2))
    if n < folds:
        raise ValueError(f"folds must be at most the number of rows, got {folds} for {n}.")
    _check_length(n, weight)


def _check_share(n, folds, share, weight):
    _check_least(folds=(folds, 1))
    if not (0 < share < 1 and math.ceil(share * n) < n):
        raise ValueError(f"test_share={share} is not above 0 with some of {n} rows left to train.")
    _check_length(n, weight)


def _check_length(n, weight):
    if weight is not None and weight.shape[0] != n:
        raise ValueError(f"sample_weight must have {n} entries, got {weight.shape[0]}.")


def _check_least(**limits):
    for name, (value, least) in limits.items():
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}.")
