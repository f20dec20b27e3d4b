"""The methods without a target that the shell fits, by name.

Each is a part of a model like any other (``pipeline``), so that one-hot columns, standardising,
padding and saved runs are the same; its fit is given a y and does not look.
"""

from mlmath.cli import clustering, decomposition, densities

__all__ = ["STRUCTURES"]

STRUCTURES = {
    "gaussian_mixture": densities.MIXTURE,
    "kmeans": clustering.KMEANS,
    "pca": decomposition.PCA,
}
