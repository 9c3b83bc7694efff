"""Which certificates a network camera may have: a trusted authority's for its name, by default."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.device.certificates import tls_context
from fer_edge.edge.device.environment import environment_variable
from fer_edge.edge.errors import SourceError

SYSTEM_CA_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
"""Where Linux distributions keep the authorities, in one file, as FFmpeg needs them."""

FFMPEG_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
"""OpenCV's only way to give FFmpeg options; where it is set, OpenCV leaves out its own, RTSP over TCP."""


@dataclass(frozen=True)
class Trust:
    """What is trusted.

    Attributes:
        ca: File of CA certificates, PEM; None for the system's.
        insecure: Whether any certificate is accepted.
    """

    ca: Path | None = None
    insecure: bool = False

    def context(self) -> ssl.SSLContext:
        """Make the context of a TLS connection.

        Raises:
            SourceError: The CA file cannot be read, or holds no certificate.
        """
        try:
            context = tls_context(self.ca)
        except ValueError as error:
            raise SourceError(f"--source-ca {self.ca}: {error}") from None
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    @contextmanager
    def ffmpeg(self) -> Iterator[None]:
        """Let FFmpeg verify certificates, too, in the captures that are opened in the block.

        FFmpeg does not by default, and OpenCV 4's ignores the request: what protects there is that the certificate is
        verified in another connection just before. Options that the user has set stay, and stand first.
        """
        ca = self.ca or ssl.get_default_verify_paths().cafile or next(filter(os.path.exists, SYSTEM_CA_FILES), None)
        if self.insecure or ca is None:
            yield
            return
        own = f"tls_verify;1|ca_file;{ca}"
        with environment_variable(FFMPEG_OPTIONS, f"{os.environ.get(FFMPEG_OPTIONS, 'rtsp_transport;tcp')}|{own}"):
            yield


VERIFIED = Trust()
"""The system's authorities."""
