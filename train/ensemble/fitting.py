"""Fit everything that an ensemble file holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.expression.operating_point import Cascade
from fer_edge.train.ensemble.calibration import WeightsFit, fit_prior, fit_temperature
from fer_edge.train.ensemble.early_exit import cheapest_cascade


@dataclass(frozen=True, eq=False)
class EnsembleFit:
    """A fitted ensemble of M members.

    Attributes:
        order: (M,) indices of the members in the order in which early exit is cheapest; all else is in this order.
        logits: (M, N, C) logits that it was fitted on.
        times: (M,) time of each member, in the unit given.
        weights: (M,) weights, which sum to 1.
        temperature: Of the ensemble.
        alone: (M,) temperatures of the members by themselves.
        offsets: (C,) class offsets.
        cascade: Temperatures and operating points of early exit.
    """

    order: tuple[int, ...]
    logits: NDArray[np.float32]
    times: tuple[float, ...]
    weights: tuple[float, ...]
    temperature: float
    alone: tuple[float, ...]
    offsets: tuple[float, ...]
    cascade: Cascade


def fit_ensemble(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    times: Sequence[float],
    weights_fit: WeightsFit,
    max_drop: float,
    balance: Sequence[float],
) -> EnsembleFit:
    """Fit weights, temperatures, class offsets and early exit.

    Args:
        logits: (M, N, C) logits of the members.
        labels: (N,) true classes.
        times: (M,) time of each member, in any unit.
        weights_fit: How the weights are fitted.
        max_drop: Accuracy, 0..1, that early exit may lose.
        balance: (C,) offsets in favour of rare classes.
    """
    weights = weights_fit(logits, labels)
    temperature, prior = fit_prior(logits, labels, weights)
    order, cascade = cheapest_cascade(logits, labels, weights, times, max_drop, prior, balance)
    one = np.ones(1, np.float32)
    return EnsembleFit(
        order,
        logits[list(order)],
        tuple(times[member] for member in order),
        tuple(weights[member] for member in order),
        temperature,
        tuple(fit_temperature(logits[member : member + 1], labels, one)[1] for member in order),
        tuple(round(float(value), 5) for value in np.add(prior, balance)),
        cascade,
    )
