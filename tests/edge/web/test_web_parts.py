"""The live page's parts, each by itself: its address, its files, its pictures, its history."""

from __future__ import annotations

import asyncio
import re

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import Request

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks.colours import COLOURS
from fer_edge.edge.types import EMOTIONS, Box, Face, Frame, Prediction
from fer_edge.edge.web.frame_mailbox import FrameMailbox
from fer_edge.edge.web.history import SECONDS, History
from fer_edge.edge.web.jpeg import WIDEST, JpegEncoder
from fer_edge.edge.web.listen_address import parse
from fer_edge.edge.web.state import waiting
from fer_edge.edge.web.static_files import STATIC
from fer_edge.edge.web.viewers import RECENT, Viewers


def prediction(emotion: str) -> Prediction:
    scores = np.full(7, 0.05, np.float32)
    scores[EMOTIONS.index(emotion)] = 0.7
    return Prediction(Face(Box(10, 10, 40, 40), 0.9, track=1), scores)


# --- the address ---------------------------------------------------------------------------------------------


@given(st.text() | st.from_regex(r"[a-z0-9.:\[\]]*:?[0-9]{0,6}", fullmatch=True))
@example("[::]:8080")
@example("٨٠٨٠")
def test_an_address_is_understood_or_refused_in_one_line(text: str) -> None:
    try:
        host, port = parse(text)
    except SinkError:
        return
    assert host and 0 <= port <= 65535


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("8080", ("127.0.0.1", 8080)), ("0.0.0.0:0", ("0.0.0.0", 0)), ("[::1]:80", ("::1", 80)), ("pi:81", ("pi", 81))],
)
def test_addresses(text: str, wanted: tuple[str, int]) -> None:
    assert parse(text) == wanted


def test_the_page_names_no_other_host() -> None:
    for file in STATIC.iterdir():
        assert set(re.findall(r"https?://[^\s\"')]+", file.read_text("utf-8"))) <= {"http://www.w3.org/2000/svg"}


def test_the_dark_page_has_the_pictures_colours() -> None:
    dark = (STATIC / "page.css").read_text("utf-8").partition("prefers-color-scheme: dark")[2]
    for name, (blue, green, red) in COLOURS.items():
        assert re.search(rf"--{name}: #{red:02x}{green:02x}{blue:02x};", dark), name


def test_a_picture_is_made_once_for_all_and_only_when_asked_for() -> None:
    async def look() -> None:
        live = FrameMailbox()
        pictures = JpegEncoder(live)
        for index in range(3):
            live.put(Frame(np.full((48, 64, 3), 60 * index, np.uint8), index), [prediction("happy")])
        assert pictures.made == 0
        got = await asyncio.gather(*(pictures.after(0) for _ in range(5)))
        assert pictures.made == 1
        assert {id(each) for each in got} == {id(got[0])} and got[0] is not None and got[0].number == 3
        waiting = asyncio.create_task(pictures.after(3))
        await asyncio.sleep(0)
        live.put(Frame(np.zeros((700, 2 * WIDEST, 3), np.uint8), 3), [])
        newer = await waiting
        assert newer is not None and newer.number == 4
        assert cv2.imdecode(np.frombuffer(newer.jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (350, WIDEST, 3)
        live.end(closing=True)
        assert await pictures.after(4) is None
        pictures.close()

    asyncio.run(look())


def test_no_frame_is_younger_than_now() -> None:
    """Though one may come while the time since the last is asked."""
    coming = [Frame(np.zeros((2, 2, 3), np.uint8), 1)]

    class Busy(FrameMailbox):
        def age(self) -> float:
            seconds = super().age()
            if coming:
                self.put(coming.pop(), [])
            return seconds

    assert waiting(Busy()) >= 0


def test_history_is_a_mean_by_the_second_and_forgets() -> None:
    history = History()
    for time, faces in [(0.1, ["happy"]), (0.9, ["happy", "sad"]), (1.5, []), (3.0, ["fear"]), (4.0, [])]:
        history.add(time, [prediction(name) for name in faces])
    first, second, third = history.since(-1)
    assert first["faces"] == 1.5
    assert first["scores"][EMOTIONS.index("happy")] == pytest.approx((0.7 + 0.7 + 0.05) / 3, abs=1e-3)
    assert second == {"second": 1, "faces": 0.0, "scores": None}
    assert third["second"] == 3 and history.since(1) == [third]
    for second in range(10, 20 + 2 * SECONDS):
        history.add(second, [])
    assert len(history.since(-1)) == SECONDS


def test_an_asker_for_pictures_is_a_viewer_for_a_while_and_a_page_is_one() -> None:
    def asker(host: str, agent: bytes) -> Request:
        return Request({"type": "http", "client": (host, 1), "headers": [(b"user-agent", agent)]})

    now = 0.0
    viewers = Viewers(lambda: now)
    page, dashboard, other = (
        asker("10.0.0.1", b"browser"),
        asker("10.0.0.1", b"dashboard"),
        asker("10.0.0.2", b"browser"),
    )
    viewers.asked(page)
    with viewers.looking(page):
        viewers.asked(page)
        assert viewers.count() == 1
        with viewers.looking(page):
            assert viewers.count() == 2
        viewers.asked(dashboard)
        viewers.asked(other)
        viewers.asked(other)
        assert viewers.count() == 3
    assert viewers.count() == 2
    now += RECENT
    viewers.asked(other)
    assert viewers.count() == 2
    now += RECENT / 2
    assert viewers.count() == 1
