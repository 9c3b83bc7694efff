"""The shipped models: int8 .tflite files, a card beside each, and the ensemble's file."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
"""Where the shipped files lie."""

SHIPPED = frozenset(
    {
        "365fd9dfaf956522482560c8f7e05502fc511cb4d506e7f02d6e5eeecf64bd54",  # efficientnet_b0_int8
        "ad6dc49186574fa2d9cb6ca58247d1663cee21bc885f0942b8df47df0e02e305",  # mobilenet_v2_int8
        "b63e038ec7a7224a69bb5e117da4ad5d6527587ca07a8fb2e0a4f07b7eca0b92",  # se_mobilenet_v2_int8
        "bbe58c7c788c97052d81ab2138438036466f8cb5b0c19497f08a317675759d3f",  # face/blazeface_short
        "deea4eb3acedd14173da7a71f1d399f012bdc66948e72769a5a2a4f2e2620cdd",  # face/yunet_int8
    }
)
"""The sha256 of every .tflite file that comes with this version. They are here and not read from the cards, which
anybody can write: other files run in a process of their own first."""
