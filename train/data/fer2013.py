"""FER2013's classes, and the words that other copies of it use for them."""

from __future__ import annotations

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's classes, in the order of the numbers in its CSV."""

NUMBERS = {str(label): label for label in range(len(CLASSES))}
"""The index of a class by the text of its number in the CSV's column emotion."""

SYNONYMS = {
    **{name: name for name in CLASSES},
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "scared": "fear",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "surprised": "surprise",
    "neutrality": "neutral",
}
"""FER2013's name of a class by a word for it in lower case."""
