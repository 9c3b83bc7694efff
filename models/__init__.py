"""The shipped models: int8 .tflite files, a card beside each, and the ensemble's file."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
"""Where the shipped files lie."""
