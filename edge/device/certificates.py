"""The certificates that a TLS connection trusts."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


def tls_context(ca: Path | None) -> ssl.SSLContext:
    """Make the context of a TLS connection that verifies the server.

    Args:
        ca: File of CA certificates, PEM; None for the system's.

    Raises:
        ValueError: The file cannot be read, or holds no certificate; the message is the reason.
    """
    import ssl

    try:
        if ca is not None and not stat.S_ISREG(os.stat(ca).st_mode):  # OpenSSL would wait for a pipe's writer
            raise ValueError("not a file")
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # an ssl.SSLError is one, too
        reason = "not a certificate in PEM format" if isinstance(error, ssl.SSLError) else error.strerror
        raise ValueError(reason) from None
