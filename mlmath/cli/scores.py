"""Scores on held-out rows, each beside the score of a model that knows nothing.

With weights sᵢ, S = Σᵢ sᵢ and p the predicted probability of the class that was observed,

    root mean square error    (Σᵢ sᵢ (yᵢ − ŷᵢ)² / S)^½                          (1)
    R²                        1 − Σᵢ sᵢ (yᵢ − ŷᵢ)² / Σᵢ sᵢ (yᵢ − m)²            (2)
    accuracy                  Σᵢ sᵢ [argmax = yᵢ] / S                           (3)
    log loss                  −Σᵢ sᵢ log pᵢ / S                                 (4)

where the model that knows nothing predicts the mean m, or the frequencies of the classes, of
the rows that were fitted.
"""

import numpy as np

from mlmath.cli.refusal import Refusal

__all__ = ["held_out", "of_classes", "of_numbers", "sentence"]


def held_out(y: np.ndarray, labels: int, seed: int, *, share: int = 5) -> np.ndarray:
    """Rows to hold out: one in ``share``, of each class alike; none of fewer than twice that.

    Raises:
        Refusal: if the seed is negative.
    """
    if seed < 0:
        raise Refusal(f"--seed must be 0 or more, got {seed}.")
    held = np.zeros(len(y), bool)
    if len(y) < 2 * share:
        return held
    shuffled = np.random.default_rng(seed).permutation(len(y))
    order = shuffled[np.argsort(y[shuffled], kind="stable")] if labels else shuffled
    held[order[share - 1 :: share]] = True
    return held


def of_numbers(
    predicted: np.ndarray, y: np.ndarray, weight: np.ndarray, mean: float
) -> dict[str, float]:
    """Equations (1) and (2)."""
    squares, null = weight @ (y - predicted) ** 2, weight @ (y - mean) ** 2
    return {
        "root_mean_square_error": float(np.sqrt(squares / weight.sum())),
        "baseline_root_mean_square_error": float(np.sqrt(null / weight.sum())),
        "r_squared": float(1 - squares / null) if null > 0 else 0.0,
    }


def of_classes(
    predicted: np.ndarray, y: np.ndarray, weight: np.ndarray, frequencies: np.ndarray
) -> dict[str, float]:
    """Equations (3) and (4)."""
    y, share = y.astype(int), weight / weight.sum()
    tiny = np.finfo(float).tiny
    observed = predicted[np.arange(len(y)), y]
    return {
        "accuracy": float(share @ (predicted.argmax(axis=1) == y)),
        "baseline_accuracy": float(share @ (y == frequencies.argmax())),
        "log_loss": float(-share @ np.log(np.maximum(observed, tiny))),
        "baseline_log_loss": float(-share @ np.log(np.maximum(frequencies[y], tiny))),
    }


def sentence(score: dict[str, float]) -> str:
    """Return the score for people."""
    if not score:
        return "not measured: fewer than ten rows"
    if "accuracy" in score:
        right = (
            f"accuracy {score['accuracy']:.1%} (largest class alone "
            f"{score['baseline_accuracy']:.1%})"
        )
        if "log_loss" not in score:
            return right
        return (
            f"{right}, log loss {score['log_loss']:.3g} "
            f"(frequencies alone {score['baseline_log_loss']:.3g})"
        )
    return (
        f"R² {score['r_squared']:.3f}, root mean square error "
        f"{score['root_mean_square_error']:.4g} "
        f"(mean alone {score['baseline_root_mean_square_error']:.4g})"
    )
