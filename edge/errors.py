"""The exception tree of what a user can fix, each error one line, and how it quotes names, addresses and long texts."""

from __future__ import annotations

import errno
import re

_SURROGATES = re.compile("[\ud800-\udfff]")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_SECRET = re.compile(
    r"(?i)\b(\w*(?:user|usr|login|pass|pwd|pw|token|key|auth|secret|sig|cred|session)[\w-]*\s*=).*", re.DOTALL
)
"""The name of a setting or parameter that holds a secret, and all that follows: a password may hold any character."""

_SCHEME = re.compile(r"""(?:gst:)?(?:[^@:]*=\s*)?["']?[\w+.-]+://""")
"""What comes before an address: nothing, or the beginning of a pipeline, as in souphttpsrc location=."""

_NO_PORT = re.compile(r"""^([^/:\s!"'\[\]]*):(?!\d*(?:[/\s!"',;)]|$)).*""", re.DOTALL)
"""A host and what follows its colon where that is no port, as in user:password without a host."""

OPENCV_NO_MEMORY = -4
"""`cv2.Error.StsNoMem`."""

_NOT_LOADED = "failed to map segment|[Cc]annot allocate memory"
"""What the dynamic linker says where there is no memory for a library."""


MAX_LENGTH = 2000
"""Characters of an error's message, whatever it quotes: twice a long path and all options of `run`."""


class FerEdgeError(Exception):
    """Base of all errors that a user can fix; the command line prints it as one line and exits with code 2."""

    def __str__(self) -> str:
        """The message on one line, whatever is in the names of files in it."""
        text = super().__str__()
        return printable(" ".join((text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…").splitlines()))


class DataError(FerEdgeError):
    """A data set, picture or CSV file is not what was expected."""


class ModelError(FerEdgeError):
    """A model file, model card or ensemble is missing, altered or of another kind."""


class TrainingError(FerEdgeError):
    """A training or fine-tuning cannot go on: its loss is no number."""


class SourceError(FerEdgeError):
    """A camera, video, picture or stream cannot be read."""


class SinkError(FerEdgeError):
    """An output cannot be written."""


class ConfigError(FerEdgeError):
    """A configuration file cannot be read, or holds a setting that no command has."""


class FleetError(FerEdgeError):
    """A fleet's broker cannot be reached, or a device does not take a setting."""


class ClusterError(FerEdgeError):
    """A cluster cannot be reached, was lost, or has workers whose answers would not be this machine's."""


class ServiceError(FerEdgeError):
    """A service cannot be installed, or the service manager refuses a request."""


def shortage(error: BaseException) -> str | None:
    """What the system has run out of, with what to do about it; None for an error with another cause.

    Args:
        error: Python's, numpy's or OpenCV's error.

    Returns:
        One line.
    """
    opencv = type(error).__module__ == "cv2" and getattr(error, "code", 0) == OPENCV_NO_MEMORY
    library = isinstance(error, OSError | ImportError) and re.search(_NOT_LOADED, str(error)) is not None
    if opencv or library or isinstance(error, MemoryError):
        return "there is not enough memory; end other programs, or raise the limit (ulimit -v, MemoryMax=)"
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        return f"{error.strerror}; end other programs, or raise the limit (ulimit -n, LimitNOFILE=)"
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return "no thread can be started; end other programs, or raise the limit (ulimit -u and -v, TasksMax=)"
    return None


def redact(address: str, *, query: bool = False) -> str:
    """Remove credentials from an address for logs, errors and outputs.

    It rather removes too much than too little: a password may hold an @, a blank, a quote or a slash that was not
    percent-encoded, or be encoded together with its @. Where an @ follows a ? or #, host and password cannot be told
    apart and only the scheme is left.

    Args:
        address: A URL, a GStreamer pipeline, or a path.
        query: Whether a query stays up to a parameter whose name is that of a secret: in results it may be all that
            tells one picture from another.

    Returns:
        The address without what comes before its last @, with "…" for a query and for all that follows secret=;
        `printable` text.
    """
    bare = _SECRET.sub(r"\1…", printable(address))
    found = _SCHEME.match(bare)
    if found is None and not re.search(":.*@", address, re.DOTALL):  # else the rtsp:// was forgotten
        return bare
    scheme, rest = (found[0], bare[found.end() :]) if found else ("", bare)
    before = re.split("[?#]", rest, maxsplit=1)[0]
    if "@" in rest[len(before) :]:
        return f"{scheme}…"
    host = _NO_PORT.sub(r"\1:…", re.sub("^[^/]*%40", "", before.rpartition("@")[2]))
    if before == rest:
        return f"{scheme}{host}"
    return f"{scheme}{host}{rest[len(before) :] if query else '?…'}"


def redact_text(text: str, *, words: bool = False) -> str:
    """Remove credentials from the addresses in a text, such as an error that quotes what was given in the wrong place.

    Args:
        text: One line; the USER:PASSWORD@ of advice stays.
        words: Whether it quotes words of a command line, of which one may be the end of a password with a blank.

    Returns:
        The line without what comes before an @ in an address, and with "…" for a query.
    """
    if words:
        text = re.sub(r"([\w+.-]+:/{1,2}).*@", r"\1", text)
        text = re.sub(r"""[^\s'"(]*@""", "", text)
    text = re.sub(r"([\w+.-]+:/{1,2}+)(?!USER:PASSWORD@)((?!://|[:;] ).)*@", r"\1", text)  # not beyond its sentence
    return re.sub(r"""([\w+.-]+:/{1,2}[^\s'"?#]*)[?#][^\s'")]+""", r"\1?…", text)


def shortened(text: object, limit: int = 60) -> str:
    """Quote a text or value that came from a file or the command line, in an error that stays one short line.

    Args:
        text: The text, or a value whose text is meant.
        limit: Characters of it at most.

    Returns:
        Its beginning, with … where that is not all, each run of blanks as one space, and ? for what cannot be printed.
    """
    whole = str(text)
    start = whole[: 4 * limit]  # enough of a text of megabytes
    line = " ".join("".join(each if each.isprintable() or each.isspace() else "?" for each in start).split())
    return f"{line[: limit - 1]}…" if len(line) > limit or len(whole) > len(start) else line


def printable(name: object) -> str:
    r"""Make text of a name for a line of output: a log, an error, a result.

    A file's name is bytes. Python holds those that are not UTF-8 as lone surrogates, which no UTF-8 output can have.

    Args:
        name: A path, or a text that contains one.

    Returns:
        The text with bytes that are not UTF-8 and control characters as `\xff`, and other lone surrogates as `\ud800`.
    """
    return _UNPRINTABLE.sub(_escape, str(name))


def valid_text(text: str) -> str:
    """Escape what UTF-8 cannot encode as `printable` does, and nothing else: line breaks and colours stay."""
    return _SURROGATES.sub(_escape, text)


def is_valid_text(text: str) -> bool:
    """Whether UTF-8 can encode the text."""
    return _SURROGATES.search(text) is None


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # PEP 383: a byte that was not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
