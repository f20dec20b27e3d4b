"""Tables: readers and the data sets that come with mlmath."""

from mlmath.rooms import lazy

__getattr__, __dir__ = lazy(__name__, __path__)
