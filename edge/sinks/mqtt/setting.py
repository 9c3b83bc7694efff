"""A setting of a running device: which values it takes, and the message that asks for one."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import cast

from fer_edge.edge.errors import shortened
from fer_edge.edge.files.documents import parse_json
from fer_edge.edge.types import OptionInfo

MAX_BYTES = 512
"""Bytes of a request."""

MAX_ID = 64
"""Characters of a request's id."""

Value = bool | int | float


@dataclass(frozen=True)
class Setting:
    """A setting that can be changed while the device runs.

    Attributes:
        key: Its name: that of the option, if there is one, as in `fer-edge.toml`.
        kind: bool, int or float.
        info: The option's description, for its range.
        largest: Largest value where the option has no maximum.
    """

    key: str
    kind: type[bool] | type[int] | type[float]
    info: OptionInfo
    largest: int

    @property
    def expected(self) -> str:
        """The values that it takes, in words."""
        if self.kind is bool:
            return "true or false"
        number = "a whole number" if self.kind is int else "a number"
        low, high = self._range
        return f"{number} {'above' if self.info.open_minimum else 'from'} {low:g} to {high:,.10g}"

    @property
    def _range(self) -> tuple[float, float]:
        low, high = self.info.minimum, self.info.maximum
        return -self.largest if low is None else low, self.largest if high is None else high

    def checked(self, value: object) -> Value:
        """Check a value.

        Args:
            value: What JSON has made of it.

        Returns:
            The value, as its kind.

        Raises:
            ValueError: It is none that the setting takes; the message says which it takes.
        """
        if self._takes(value):
            return self.kind(cast(Value, value))
        raise ValueError(f"{shortened(_text(value))}: expected {self.expected}")

    def _takes(self, value: object) -> bool:
        if self.kind is bool or isinstance(value, bool):
            return self.kind is bool and isinstance(value, bool)
        if not isinstance(value, int if self.kind is int else int | float) or not math.isfinite(value):
            return False
        low, high = self._range
        return low <= value <= high and not (self.info.open_minimum and value == low)


@dataclass(frozen=True)
class Request:
    """A request for a value.

    Attributes:
        value: The value, not yet checked.
        id: What the reply repeats, so that whoever asked knows it; None without one.
    """

    value: object
    id: str | None = None

    def payload(self) -> bytes:
        """The message that `parse_request` reads."""
        return json.dumps({"value": self.value} | ({"id": self.id} if self.id is not None else {})).encode()


def parse_request(payload: bytes) -> Request:
    """Read a message that asks for a value, as {"value": 1.5} or {"value": 1.5, "id": "a7"}.

    Args:
        payload: The message, which anybody may have written.

    Returns:
        The request.

    Raises:
        ValueError: It is none; the message is one line.
    """
    if len(payload) > MAX_BYTES:
        raise ValueError(f"the message has more than {MAX_BYTES} bytes; expected {_EXAMPLE}")
    try:
        record = parse_json(payload)
    except ValueError as error:
        raise ValueError(f"the message is not JSON ({shortened(error, 120)}); expected {_EXAMPLE}") from None
    if not isinstance(record, dict) or not {"value"} <= record.keys() <= {"value", "id"}:
        raise ValueError(f"the message is {shortened(_text(record))}; expected {_EXAMPLE}")
    identity = record.get("id")
    if identity is not None and not (isinstance(identity, str) and len(identity) <= MAX_ID):
        raise ValueError(f"the id is {shortened(_text(identity))}; expected a text of up to {MAX_ID} characters")
    return Request(record["value"], identity)


_EXAMPLE = '{"value": …}'


def _text(value: object) -> str:
    """A value as JSON, for an error."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(value)
