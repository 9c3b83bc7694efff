"""The files of which the page is made."""

from pathlib import Path

STATIC = Path(__file__).resolve().parent / "static"
