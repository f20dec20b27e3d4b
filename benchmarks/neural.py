"""Cases of ``mlmath.neural``; the peers are PyTorch, where it is installed, and scikit-learn."""

import gzip
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.case import Case

_HIDDEN, _BATCH, _STEPS, _RATE = 128, 32, 18_750, 2e-3  # ten passes over the images
_ROOT = Path(__file__).parents[2] / "shared"


def _read(name, header):
    folder = Path(os.environ.get("MLMATH_SHARED", _ROOT)) / "datasets" / "mnist"
    return np.frombuffer(gzip.decompress((folder / name).read_bytes()), np.uint8)[header:]


def _images(name):
    return _read(name, 16).reshape(-1, 784) / np.float32(255)


def _mnist():
    if find_spec("torch"):
        import torch  # noqa: F401  # before the pools of threads are looked for
    labels = _read("train-labels-idx1-ubyte.gz", 8).astype(np.int32)
    return _images("train-images-idx3-ubyte.gz"), labels


def _ours(module, X, y):
    import jax

    from mlmath.neural import losses
    from mlmath.optimize import adam, schedules

    optimizer = adam.adam(schedules.cosine_decay(_RATE, steps=_STEPS))
    return module.fit(
        jax.random.key(0), X, y, hidden=(_HIDDEN,), outputs=10,
        error=losses.softmax_cross_entropy, optimizer=optimizer, batch_size=_BATCH, steps=_STEPS,
    )  # fmt: skip


def _layers(fit):
    return tuple(np.asarray(a) for layer in fit.params.layers for a in (layer.weights, layer.bias))


def _torch(X, y):
    import torch
    from torch import nn

    torch.manual_seed(0)
    X, y = torch.from_numpy(np.asarray(X)), torch.from_numpy(np.asarray(y, np.int64))
    net = nn.Sequential(nn.Linear(784, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 10))
    for layer in (net[0], net[2]):
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    error, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(net.parameters(), _RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    for rows in torch.randint(0, len(X), (_STEPS, _BATCH)):
        optimizer.zero_grad()
        error(net(X[rows]), y[rows]).backward()
        optimizer.step()
        schedule.step()
    return tuple(a.detach().numpy() for a in net.parameters())


def _scikit_learn(X, y):
    """At half the rate: it has no schedule for Adam."""
    import warnings

    from sklearn.neural_network import MLPClassifier

    peer = MLPClassifier(
        (_HIDDEN,), alpha=0.0, batch_size=_BATCH, learning_rate_init=_RATE / 2,
        max_iter=_STEPS * _BATCH // len(X), random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged
        peer.fit(X, y)
    (V, W), (a, b) = peer.coefs_, peer.intercepts_
    return V.T, a, W.T, b


def _wrong(arrays, answer):
    """Share of the 10,000 test images that are judged wrong, 2 % where it is less."""
    V, a, W, b = answer
    outputs = np.maximum(_images("t10k-images-idx3-ubyte.gz") @ V.T + a, 0) @ W.T + b
    wrong = np.mean(outputs.argmax(1) != _read("t10k-labels-idx1-ubyte.gz", 8))
    print(f"{wrong:.2%} wrong")
    return max(float(wrong), 0.02)


_PEERS = ({"PyTorch": _torch} if find_spec("torch") else {}) | {"MLPClassifier": _scikit_learn}

CASES = (
    Case(
        "mlp_mnist", f"MNIST, 784-{_HIDDEN}-10 f32, {_STEPS} steps of {_BATCH}",
        "mlmath.neural.mlp", _mnist, _ours, _layers, _PEERS,
        "share of wrong test images, 2 % if less", _wrong, 0.02, 1.5, 1.5,
    ),
)  # fmt: skip
