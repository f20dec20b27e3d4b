"""Judging fits by the contract, of whatever method: metrics, folds, selection."""

from mlmath.rooms import lazy

__getattr__, __dir__ = lazy(__name__, __path__)
