"""An address as it may be shown: without user, password or token."""

from __future__ import annotations

import re

_SECRET = re.compile(r"(?i)\b(\w*(?:user|usr|login|pass|pwd|pw|token|key|auth|secret|sig)[\w-]*\s*=)\s*[^\s&/!?;]+")


def redact(address: str) -> str:
    """The address for logs and errors: what stands before the last @, queries and secret=… are left out.

    Rather too much than too little: a password may hold an @ or a slash that its owner forgot to encode.
    """
    bare = re.sub(r"://[^\s!]*@", "://", address)
    bare = re.sub(r"^\S+:\S*@", "", bare)  # an address whose rtsp:// was forgotten
    bare = re.sub(r"(://[^\s!?]*)\?[^\s!]*", r"\1?…", bare)
    return _SECRET.sub(r"\1…", bare)
