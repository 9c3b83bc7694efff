"""Recorded videos in Chromium."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import chromium
from selenium import webdriver
from waiting import until

from fer_edge.edge.sinks.video import VideoSink
from fer_edge.edge.types import Frame

pytestmark = pytest.mark.browser

PLAY = """
const video = document.createElement('video');
video.muted = true;
video.src = arguments[0];
window.end = null;
video.onended = () => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d');
    canvas.drawImage(video, 0, 0, 1, 1);
    window.end = [video.videoWidth, video.videoHeight, video.currentTime, canvas.getImageData(0, 0, 1, 1).data[0]];
};
video.onerror = () => { window.end = video.error.message; };
video.play();
"""


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.mark.faults
@pytest.mark.parametrize("name", ["out.webm", "killed.webm"])
def test_a_webm_plays_in_a_browser(browser: webdriver.Chrome, tmp_path: Path, name: str) -> None:
    """Finished, and as it is when the program is killed."""
    sink = VideoSink(tmp_path / "out.webm", 20.0)
    for index in range(30):
        sink.show(Frame(np.full((120, 160, 3), 60 + 3 * index, np.uint8), index, index / 20), [])
    shutil.copy(tmp_path / "out.part.webm", tmp_path / "killed.webm")
    sink.close()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.get(f"http://127.0.0.1:{server.server_port}/")
        browser.execute_script(PLAY, name)
        width, height, seconds, level = until(lambda: browser.execute_script("return window.end"))
        server.shutdown()
    assert (width, height) == (160, 120)
    assert seconds == pytest.approx(1.5, abs=0.06)
    assert level == pytest.approx(60 + 3 * 29, abs=8)
