"""The page's HTML, JavaScript and style sheet, read once, so that no request opens a file."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from starlette.responses import Response

STATIC = Path(__file__).resolve().parent / "static"
"""The folder that holds them."""

MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@cache
def static_files() -> dict[str, bytes]:
    """The files' contents by name."""
    return {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in MEDIA_TYPES}


def static_response(name: str) -> Response:
    """A file of the folder, or 404; only the names of files are looked up, never paths."""
    content = static_files().get(name)
    if content is None:
        return Response("Not found.\n", 404, media_type="text/plain")
    return Response(content, media_type=MEDIA_TYPES[Path(name).suffix])
