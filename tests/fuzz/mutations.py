"""Changed copies of real inputs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

MAX_EDITS = 6
MAX_BYTES = 1 << 20

NASTY = (
    b"",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\r\n\r\n",
    b"'\"",
    b"-1",
    b"NaN",
    b"1e999",
    b"9" * 5000,
    b"[" * 3000,
    b'{"a":' * 300,
    b"\\ud800",
    b"%ff%00",
    b"../" * 40,
    b"\x1b[31m",
    b"\x7f\xff\xff\xff",
    b"\xff" * 8,
    "\u202e\U0001f600".encode(),
)
"""What breaks readers: empty, byte order marks, lone surrogates, huge numbers, depth, escapes."""


def mutate(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A copy with some edits: bits, bytes, pieces removed, doubled, replaced, or taken from another input."""
    edited = bytearray(data)
    for _ in range(rng.randint(1, MAX_EDITS)):
        rng.choice(EDITS)(edited, others, rng)
        del edited[MAX_BYTES:]
    return bytes(edited)


Edit = Callable[[bytearray, Sequence[bytes], random.Random], None]


def _flip_bit(data: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _change_bytes(data: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    start = rng.randint(0, len(data))
    new = rng.randbytes(rng.choice((1, 2, 4, 8)))
    data[start : start + len(new)] = new


def _remove(data: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    start, end = _piece(data, rng)
    del data[start:end]


def _repeat(data: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    start, end = _piece(data, rng)
    data[start:start] = data[start:end] * rng.choice((1, 2, 50))


def _cut(data: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    del data[rng.randint(0, len(data)) :]


def _insert_nasty(data: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    start, end = _piece(data, rng)
    data[start : rng.choice((start, end))] = rng.choice(NASTY)


def _splice(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    other = rng.choice(others)
    start, end = _piece(data, rng)
    data[start:end] = other[slice(*_piece(other, rng))]


def _piece(data: bytes | bytearray, rng: random.Random) -> tuple[int, int]:
    """Start and end of a random piece, a short one more often than a long one."""
    start = rng.randint(0, len(data))
    return start, min(len(data), start + int(len(data) ** rng.random()))


EDITS: tuple[Edit, ...] = (_flip_bit, _change_bytes, _remove, _repeat, _cut, _insert_nasty, _splice)
