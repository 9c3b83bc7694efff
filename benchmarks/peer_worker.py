"""Worker in a peer's environment: opens the package, then answers requests, a JSON line each way.

It imports nothing of fer-edge but what it is asked to open. Its clock starts when Python runs: the start of the
interpreter, the same for all, is not in the time of the first result.

Requests are {"do": "frame" | "classify", "count": N}, answered with the milliseconds of N calls, and
{"do": "faces", "path": NPY}, answered with the scores of each face by class.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from importlib.metadata import packages_distributions, version
from typing import Any, NamedTuple


class Peer(NamedTuple):
    """A package that is open.

    Attributes:
        frame: (pixels, seconds) to the number of faces in a frame.
        face: A (48, 48) uint8 gray face to its scores by the name of the class.
        classify: Runs the network alone on a blank face; None where it has no time of its own.
    """

    frame: Callable[[Any, float], int]
    face: Callable[[Any], dict[str, float]]
    classify: Callable[[], object] | None


def main(name: str, clip: str, rate: float) -> None:
    """Open a package, report the time of the first result, then answer requests on stdin until it ends."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print on stdout must not mix with the replies
    began = time.perf_counter()
    peer = _OPEN[name]()
    frames = _frames(clip, rate)
    faces = peer.frame(*next(frames))
    first = time.perf_counter() - began
    started = {"first_ms": 1000 * first, "faces": faces, **_versions(), "peak_mib": _peak_mib()}
    print(json.dumps(started), file=replies)
    for line in sys.stdin:
        print(json.dumps({**_answer(peer, json.loads(line), frames), "peak_mib": _peak_mib()}), file=replies)


def _answer(peer: Peer, request: dict[str, Any], frames: Iterator[tuple[Any, float]]) -> dict[str, Any]:
    if request["do"] == "frame":
        return {"ms": [_timed(peer.frame, *next(frames)) for _ in range(request["count"])]}
    if request["do"] == "classify":
        return {"ms": [_timed(peer.classify) for _ in range(request["count"])] if peer.classify else []}
    import numpy as np

    return {"scores": [peer.face(face) for face in np.load(request["path"])]}


def _frames(clip: str, rate: float) -> Iterator[tuple[Any, float]]:
    """The clip's frames with their seconds, again and again; its last frame leads on to the first."""
    import cv2

    count = 0
    while True:
        capture = cv2.VideoCapture(clip)
        while (read := capture.read())[0]:
            yield read[1], count / rate
            count += 1


def _timed(call: Callable[..., object], *arguments: Any) -> float:
    start = time.perf_counter()
    call(*arguments)
    return 1000 * (time.perf_counter() - start)


def _versions() -> dict[str, Any]:
    """The versions of this Python and of the packages whose modules are loaded."""
    modules = {name.partition(".")[0] for name in list(sys.modules)}
    packages = {name for module, names in packages_distributions().items() if module in modules for name in names}
    return {"python": platform.python_version(), "packages": {name: version(name) for name in sorted(packages)}}


def _peak_mib() -> float:
    with open("/proc/self/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


def _open_fer() -> Peer:
    """PyPI's fer: Haar cascade and its bundled 64-px TFLite model, with the constructor's defaults."""
    import cv2
    import numpy as np

    package = import_module("fer.fer").FER  # the package itself exports nothing since 25.10
    detecting, cropping = package(), package(offsets=(0, 0))

    def face(pixels: Any) -> dict[str, float]:
        boxes = [(0, 0, pixels.shape[1], pixels.shape[0])]
        (result,) = cropping.detect_emotions(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), face_rectangles=boxes)
        return {name: float(score) for name, score in result["emotions"].items()}

    blank = np.zeros((1, 64, 64), np.float32)
    return Peer(
        lambda frame, seconds: len(detecting.detect_emotions(frame)),
        face,
        lambda: detecting._classify_emotions(blank),  # the package has no public name for its network alone
    )


def _open_facex() -> Peer:
    """PyPI's facex: Haar cascade and its bundled 200-px TFLite model."""
    import numpy as np

    worker = import_module("facex").PoolManager(pool_size=1).get_classifier()
    names = {"anger": "angry", "sadness": "sad", "surprised": "surprise"}

    def face(pixels: Any) -> dict[str, float]:
        return {names.get(name, name): float(score) for name, score in worker.detect_emotion(pixels).items()}

    blank = np.zeros((1, 200, 200, 3), np.float32)

    def classify() -> None:
        worker.model.set_tensor(worker.input_details[0]["index"], blank)
        worker.model.invoke()

    return Peer(lambda frame, seconds: len(worker.predict(frame)), face, classify)


def _fer_edge(model: str, running: bool = False, detector: str = "yunet") -> Callable[[], Peer]:
    """A function that opens a model of fer-edge.

    Args:
        model: Name or path.
        running: Track, cache scores and exit early, as `fer-edge run` does; otherwise every frame is new. The networks
            then have no time of their own: how many run for a face depends on the frames.
        detector: Face detector.
    """

    def opened() -> Peer:
        from fer_edge.edge.pipeline import PipelineOptions, open_pipeline
        from fer_edge.edge.types import Frame

        options = PipelineOptions(model=model, detector=detector, threads=1)
        if not running:
            options = replace(options, early_exit=False, detect_every=1, smooth=0, cache_threshold=0)
        pipeline = open_pipeline(options, continuous=True)
        classifier: Any = pipeline.classifier
        return Peer(
            lambda frame, seconds: len(pipeline.process(Frame(frame, time=seconds))),
            lambda face: dict(zip(classifier.classes, classifier(face[None])[0].tolist(), strict=True)),
            None if running else _interpreters_alone(classifier.members),
        )

    return opened


def _interpreters_alone(members: Any) -> Callable[[], None]:
    """A call of the interpreters alone, as for the other packages: set the inputs and invoke."""
    import numpy as np

    inputs = [np.zeros(member.input.shape, member.input.dtype) for member in members]

    def classify() -> None:
        for member, array in zip(members, inputs, strict=True):
            member.interpreter.run(array)

    return classify


class _Openers(dict[str, Callable[[], Peer]]):
    """Functions that open a package, by name; any other name is a model of fer-edge."""

    def __missing__(self, name: str) -> Callable[[], Peer]:
        return _fer_edge(name)


_OPEN = _Openers(
    fer=_open_fer,
    facex=_open_facex,
    run=_fer_edge("ensemble", running=True),
    haar=_fer_edge("ensemble", detector="haar"),
)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
