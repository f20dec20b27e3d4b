"""Neural networks: layers, what they are trained on, and the chain rule by hand."""

from mlmath.rooms import lazy

__getattr__, __dir__ = lazy(__name__, __path__)
