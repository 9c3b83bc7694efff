"""The shipped models: int8 .tflite files, a card beside each, and the ensemble's file."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
"""Where the shipped files lie."""

SHIPPED = frozenset(
    {
        "0a2c977df17335c00a287803166f5a8045af3c5d761d71538c3df71a137a53ce",  # efficientnet_b0_int8
        "589de2c509a751b3a2be46c87158f5fff1500dcb40abd3604785dacf5d503517",  # mobilenet_v2_int8
        "8aba232da4c05f88093eed3329c3cf6d8226f0a18ddf9625d8f8046c5674be51",  # mobilenet_v2_small_int8
        "c2dd883a1fcf35cf1d56dc34813ca10c1023b6fdac5676d85080a70cbe2824fc",  # se_mobilenet_v2_int8
        "bbe58c7c788c97052d81ab2138438036466f8cb5b0c19497f08a317675759d3f",  # face/blazeface_short
        "deea4eb3acedd14173da7a71f1d399f012bdc66948e72769a5a2a4f2e2620cdd",  # face/yunet_int8
    }
)
"""The sha256 of every .tflite file that comes with this version. They are here and not read from the cards, which
anybody can write: other files run in a process of their own first."""
