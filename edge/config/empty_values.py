"""Empty values, which an unset shell variable leaves: "$FILE" is an empty word where FILE is not set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fer_edge.edge.errors import ConfigError

REPORTED_BY = "predict"
"""The command that reports an argument that is no picture beside the results of the others."""


def refuse_empty_words(words: Sequence[str]) -> None:
    """Check that no word of a command line is empty, as "$FILE" is where FILE is not set.

    An empty output would be none, an empty source the working folder.

    Args:
        words: The command line after the program's name.

    Raises:
        ConfigError: A word or the value in --option=value is empty or blank.
    """
    option, previous = "", ""
    for word in words:
        name, equals, value = word.partition("=")
        is_option = word.startswith("-") and len(word) > 1
        text = value if is_option and equals else word
        is_reported = words[0] == REPORTED_BY and not is_option and not previous.startswith("-")
        if not text.strip() and not is_reported:
            where = f"{name} {value!r}" if is_option else f"{option or 'argument'} {word!r}"
            raise ConfigError(
                f"{where}: the value is empty; is a shell variable not set? Give a value, or leave it out"
            )
        option, previous = name if is_option else option, word


def holds_empty(value: Any) -> bool:
    """Whether a value is an empty or blank text, or a list or tuple with one in it."""
    if isinstance(value, list | tuple):
        return any(map(holds_empty, value))
    return isinstance(value, str) and not value.strip()
