"""What an epoch is judged by: loss and accuracy on the val split."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.train.data.splits import Split
from fer_edge.train.networks import predict_logits


def validate(model: Any, val: Split) -> dict[str, float]:
    """Cross-entropy and accuracy of a Keras model on the val split."""
    return loss_and_accuracy(predict_logits(model, val.faces), val.labels)


def loss_and_accuracy(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
    """Cross-entropy and accuracy of (N, C) logits."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    loss = float(np.mean(log_sums - shifted[np.arange(len(labels)), labels]))
    return {"val_loss": round(loss, 5), "val_accuracy": round(float(np.mean(logits.argmax(1) == labels)), 5)}
