"""Latent structure: coordinates, groups and parts that explain data, one module each."""

from mlmath.rooms import lazy

__getattr__, __dir__ = lazy(__name__, __path__)
