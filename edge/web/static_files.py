"""The folder of the page's HTML, JavaScript and style sheet."""

from pathlib import Path

STATIC = Path(__file__).resolve().parent / "static"
