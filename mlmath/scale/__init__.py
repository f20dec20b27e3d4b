"""Runs that outlive a process: files written whole, checkpoints, the training driver."""

from mlmath.rooms import lazy

__getattr__, __dir__ = lazy(__name__, __path__)
