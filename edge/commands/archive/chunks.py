"""Inputs cut into chunks, which are worked on one by one, and the shards that several runs share them by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fer_edge.edge.commands.archive.inputs import Input
from fer_edge.edge.errors import ConfigError

CHUNKS = 128
"""Number of chunks that inputs are cut into, as far as their size allows: enough to keep some dozen workers busy."""

SIZES = (8, 256)
"""Least and most pictures in a chunk: so many are worked on again after a crash, and so many files are written."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive inputs that one worker processes.

    Attributes:
        index: Its number, from 0, among all chunks.
        inputs: Some pictures, or one video.
    """

    index: int
    inputs: tuple[Input, ...]


def cut_chunks(inputs: Sequence[Input], size: int | None = None) -> list[Chunk]:
    """Cut inputs into chunks, which depend on the inputs and the size alone.

    Args:
        inputs: The inputs.
        size: Pictures in a chunk; None for a share of them within SIZES. A video is a chunk of its own.

    Returns:
        The chunks, with all inputs in their order.
    """
    if size is None:
        size = min(SIZES[1], max(SIZES[0], -(-len(inputs) // CHUNKS)))
    chunks: list[Chunk] = []
    waiting: list[Input] = []

    def flush() -> None:
        if waiting:
            chunks.append(Chunk(len(chunks), tuple(waiting)))
            waiting.clear()

    for each in inputs:
        if each.kind == "video":
            flush()
        waiting.append(each)
        if each.kind == "video" or len(waiting) == size:
            flush()
    flush()
    return chunks


@dataclass(frozen=True)
class Shard:
    """The share of one of several runs.

    Attributes:
        number: From 1 to `count`.
        count: Number of runs.
    """

    number: int = 1
    count: int = 1

    def of(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """Its chunks: every `count`-th."""
        return list(chunks[self.number - 1 :: self.count])


def parse_shard(text: str) -> Shard:
    """The shard I/N.

    Args:
        text: Two whole numbers, the first from 1 to the second.

    Returns:
        The shard.

    Raises:
        ConfigError: The text is something else.
    """
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip(), re.ASCII)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(f"--shard: {text!r} is no share; expected I/N with I from 1 to N, such as 1/8")
    return Shard(int(match[1]), int(match[2]))
