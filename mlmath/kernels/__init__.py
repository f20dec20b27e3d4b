"""Kernels: methods that compare an example with the rows they remember, one module each."""

from mlmath.rooms import lazy

__getattr__, __dir__ = lazy(__name__, __path__)
