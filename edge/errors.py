"""The exception tree of what a user can fix, each error one line, and the redaction of addresses in it."""

from __future__ import annotations

import re

_SECRET = r"(?i)\b(\w*(?:user|usr|login|pass|pwd|pw|token|key|auth|secret|sig)[\w-]*\s*=)\s*[^\s&/!?;]+"


class FerEdgeError(Exception):
    """Base of all errors that a user can fix; the command line prints it as one line and exits with code 2."""


class DataError(FerEdgeError):
    """A data set, picture or CSV file is not what was expected."""


class ModelError(FerEdgeError):
    """A model file, model card or ensemble is missing, altered or of another kind."""


class SourceError(FerEdgeError):
    """A camera, video, picture or stream cannot be read."""


class SinkError(FerEdgeError):
    """An output cannot be written."""


class ConfigError(FerEdgeError):
    """A configuration file cannot be read, or holds a setting that no command has."""


class ServiceError(FerEdgeError):
    """A service cannot be installed, or the service manager refuses a request."""


def redact(address: str) -> str:
    """Remove credentials from an address for logs and errors.

    It rather removes too much than too little: a password may hold an @ or a slash that was not percent-encoded.

    Args:
        address: A URL, a GStreamer pipeline, or a path.

    Returns:
        The address without what comes before its last @, with "…" for a query and for the value of secret=….
    """
    bare = re.sub(r"://[^\s!]*@", "://", address)
    bare = re.sub(r"^\S+:\S*@", "", bare)  # an address whose rtsp:// was forgotten
    bare = re.sub(r"(://[^\s!?]*)\?[^\s!]*", r"\1?…", bare)
    return re.sub(_SECRET, r"\1…", bare)
