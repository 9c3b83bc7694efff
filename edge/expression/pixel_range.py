"""The values of black and white at a network's input, as a user writes them: LOW..HIGH, or MEAN/DEVIATION."""

from __future__ import annotations

import re
from itertools import cycle, islice

from fer_edge.edge.errors import ConfigError, shortened
from fer_edge.edge.tflite.card import MAX_PIXEL_VALUE

PixelRange = tuple[float, float] | tuple[tuple[float, float], ...]
"""Black and white at the input, or one such pair for each of three channels."""

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
_LIST = rf"{_NUMBER}(?:,{_NUMBER}){{0,2}}"

EXPECTED = "LOW..HIGH, the input's values of black and white, or MEAN/DEVIATION of pixels from 0 to 255"


def parse_range(text: str) -> PixelRange:
    """Read a pixel range.

    Args:
        text: "-1..1", or "127.5/127.5", or "123.7,116.8,103.9/58.4,57.1,57.4" for three channels in their order.

    Returns:
        The range.

    Raises:
        ConfigError: It is none.
    """
    text = text.replace(" ", "")
    if match := re.fullmatch(rf"({_NUMBER})\.\.({_NUMBER})", text, re.IGNORECASE):
        return _checked(text, (float(match[1]), float(match[2])))
    if match := re.fullmatch(rf"({_LIST})/({_LIST})", text, re.IGNORECASE):
        means, deviations = (tuple(map(float, each.split(","))) for each in match.groups())
        if {len(means), len(deviations)} <= {1, 3} and all(deviations):
            return _from_means(text, means, deviations)
    raise ConfigError(f"--range {shortened(text)}: expected {EXPECTED}, one or three of each, such as -1..1")


def _from_means(text: str, means: tuple[float, ...], deviations: tuple[float, ...]) -> PixelRange:
    if max(map(abs, (*means, *deviations))) < 2 and max(map(abs, deviations)) < 1:  # 0.485/0.229 is common
        scaled = "/".join(",".join(f"{255 * each:g}" for each in values) for values in (means, deviations))
        raise ConfigError(f"--range {shortened(text)} is of pixels from 0 to 1; of pixels from 0 to 255 it is {scaled}")
    channels = max(len(means), len(deviations))
    pairs = [
        _checked(text, (-mean / deviation, (255 - mean) / deviation))
        for mean, deviation in islice(zip(cycle(means), cycle(deviations), strict=False), channels)
    ]
    return pairs[0] if len(set(pairs)) == 1 else tuple(pairs)


def _checked(text: str, pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] == pair[1] or max(map(abs, pair)) > MAX_PIXEL_VALUE:
        why = f"black would be {pair[0]:g} and white {pair[1]:g}"
        raise ConfigError(f"--range {shortened(text)}: {why}; expected different numbers, up to {MAX_PIXEL_VALUE:.0f}")
    return pair


def format_range(pixel_range: PixelRange) -> str:
    """A pixel range as `parse_range` reads it."""
    if isinstance(pixel_range[0], tuple):
        pairs = [(float(low), float(high)) for low, high in pixel_range]
        deviations = [255 / (high - low) for low, high in pairs]
        means = [-low * deviation for (low, _), deviation in zip(pairs, deviations, strict=True)]
        return "/".join(",".join(f"{each:.6g}" for each in values) for values in (means, deviations))
    return f"{pixel_range[0]:g}..{pixel_range[1]:g}"
