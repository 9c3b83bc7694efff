"""Live sources whose pictures are black."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from predictions import CLASSES
from running import run, scene

from fer_edge.edge.device.thermal import ThermalMonitor
from fer_edge.edge.sinks.run_stats import RunStats
from fer_edge.edge.sinks.status import StatusSink
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.sources.black_pictures import BlackPictureMonitor, is_black
from fer_edge.edge.sources.jpeg_picture import JpegHistory, JpegPicture
from fer_edge.edge.sources.rotated import RotatedSource
from fer_edge.edge.types import Frame
from fer_edge.edge.web.frame_mailbox import FrameMailbox
from fer_edge.edge.web.metrics import RunMetrics
from fer_edge.edge.web.state import RunInfo, state
from fer_edge.edge.web.viewers import Viewers

BLACK = np.zeros((240, 320, 3), np.uint8)


class FakeCamera(BaseSource):
    live, name = True, "fake camera"

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        self._pictures = pictures

    def __iter__(self) -> Iterator[Frame]:
        for index, picture in enumerate(self._pictures):
            yield Frame(picture, index, index / 10)


def test_what_is_black() -> None:
    noise = np.random.default_rng(0)
    assert is_black(Frame(BLACK)) and is_black(Frame(BLACK[..., 0])) and is_black(Frame(BLACK[:1, :1]))
    assert is_black(Frame(noise.integers(0, 20, BLACK.shape, np.uint8)))  # a covered sensor
    assert not is_black(Frame(scene(0))) and not is_black(Frame(scene(0) // 4))  # a dark room
    jpeg = cv2.imencode(".jpg", BLACK)[1].tobytes()
    assert is_black(Frame(JpegPicture(jpeg, (320, 240), JpegHistory())))


@pytest.mark.faults
def test_black_pictures_are_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    source = RotatedSource(
        BlackPictureMonitor(FakeCamera([scene(0)] * 20 + [BLACK] * 60 + [scene(0)] * 20)), 180, False
    )
    seconds = []
    for frame in source:
        seconds.append(source.black)
        assert frame.size == (320, 240)
    assert max(seconds) == pytest.approx(5.5, abs=0.5) and seconds[45] == seconds[-1] == 0
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "fake camera gives black pictures" in caplog.messages[0]


@pytest.mark.faults
def test_black_pictures_are_seen_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    source = BlackPictureMonitor(FakeCamera([BLACK] * 50))
    *_, frame = source
    thermal = ThermalMonitor(lambda *_: None)
    info = RunInfo(source, "ensemble", CLASSES, (), RunStats(), thermal)
    assert state(info, FrameMailbox(), 0)["black"] == pytest.approx(4.5, abs=0.5)
    metrics = RunMetrics(info, FrameMailbox(), Viewers()).encode().decode()
    thermal.close()
    assert "\nfer_edge_source_black_seconds 4" in metrics
    status = StatusSink(source)
    status.show(frame, [])
    status.close()
    assert "black picture" in capsys.readouterr().err


@pytest.mark.faults
@pytest.mark.slow
def test_a_run_reports_black_pictures(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 240))
    for picture in [scene(0)] * 2 + [BLACK] * 60:
        writer.write(picture)
    writer.release()
    done = run("--source", tmp_path / "v.avi", "--loop", "--max-frames", 45)
    assert done.returncode == 0
    assert done.stderr.count("gives black pictures") == 1
