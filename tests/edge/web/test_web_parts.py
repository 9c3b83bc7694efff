"""The live page's parts: address, files, pictures, history, viewers, metrics."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from network_camera import PORTRAIT
from predictions import CLASSES
from prometheus_client.parser import text_string_to_metric_families
from sockets import peer, sends_at_once
from starlette.requests import Request
from waiting import until

from fer_edge.edge.device.thermal import ThermalMonitor
from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks.colours import class_colours
from fer_edge.edge.sinks.run_stats import RUN_STAGES, RunStats
from fer_edge.edge.sources import open_source
from fer_edge.edge.types import Box, Face, Frame, Prediction
from fer_edge.edge.web import app, state
from fer_edge.edge.web.app import LivePage
from fer_edge.edge.web.frame_mailbox import FrameMailbox
from fer_edge.edge.web.history import HISTORY_SECONDS, History
from fer_edge.edge.web.jpeg import MAX_RATE, MAX_WIDTH, JpegEncoder, RateLimit
from fer_edge.edge.web.listen_address import parse_listen_address
from fer_edge.edge.web.metrics import RunMetrics
from fer_edge.edge.web.sink import WebSink
from fer_edge.edge.web.state import RunInfo, seconds_without_frame
from fer_edge.edge.web.static_files import STATIC
from fer_edge.edge.web.viewers import RECENT_SECONDS, Viewers


def prediction(emotion: str) -> Prediction:
    scores = np.full(7, 0.05, np.float32)
    scores[CLASSES.index(emotion)] = 0.7
    return Prediction(Face(Box(10, 10, 40, 40), 0.9, track=1), scores, CLASSES)


def has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@contextmanager
def run_info(stats: RunStats) -> Iterator[RunInfo]:
    thermal = ThermalMonitor(lambda *_: None)
    with open_source(source=PORTRAIT) as source:
        yield RunInfo(source, "ensemble", CLASSES, (), stats, thermal)
    thermal.close()


# --- the address ---------------------------------------------------------------------------------------------


@given(st.text() | st.from_regex(r"[a-z0-9.:\[\]]*:?[0-9]{0,6}", fullmatch=True))
@example("[::]:8080")
@example("٨٠٨٠")
def test_an_address_is_understood_or_refused_in_one_line(text: str) -> None:
    try:
        host, port = parse_listen_address(text)
    except SinkError:
        return
    assert host and 0 <= port <= 65535


@pytest.mark.parametrize(
    ("text", "address"),
    [("8080", ("127.0.0.1", 8080)), ("0.0.0.0:0", ("0.0.0.0", 0)), ("[::1]:80", ("::1", 80)), ("pi:81", ("pi", 81))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_listen_address(text) == address


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "[::]:0", "localhost:0"])
def test_answers_are_sent_at_once(address: str) -> None:
    """Else headers go, and the body waits up to 40 ms until the client has acknowledged them."""
    if address.startswith("[") and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with run_info(RunStats()) as run:
        page = WebSink(address, "a-good-token", run)
        try:
            where = urlsplit(page.link)
            host = "127.0.0.1" if address == "[::]:0" else where.hostname
            with socket.create_connection((host, where.port)) as client:
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert client.recv(1)
                with until(lambda: peer(client)) as server:
                    assert sends_at_once(server)
        finally:
            page.close()


def test_the_page_names_no_other_host() -> None:
    for file in STATIC.iterdir():
        assert set(re.findall(r"https?://[^\s\"')]+", file.read_text("utf-8"))) <= {"http://www.w3.org/2000/svg"}


def test_the_dark_page_has_the_pictures_colours() -> None:
    dark = (STATIC / "page.css").read_text("utf-8").partition("prefers-color-scheme: dark")[2]
    for name, (blue, green, red) in class_colours(CLASSES).items():
        assert re.search(rf"--{name}: #{red:02x}{green:02x}{blue:02x};", dark), name


def test_a_picture_is_encoded_on_request_once_for_all() -> None:
    async def view() -> None:
        mailbox = FrameMailbox()
        encoder = JpegEncoder(mailbox)
        for index in range(3):
            mailbox.put(Frame(np.full((48, 64, 3), 60 * index, np.uint8), index), [prediction("happy")])
        assert encoder.count == 0
        pictures = await asyncio.gather(*(encoder.after(0) for _ in range(5)))
        assert encoder.count == 1
        assert (
            {id(each) for each in pictures} == {id(pictures[0])} and pictures[0] is not None and pictures[0].number == 3
        )
        waiting = asyncio.create_task(encoder.after(3))
        await asyncio.sleep(0)
        mailbox.put(Frame(np.zeros((700, 2 * MAX_WIDTH, 3), np.uint8), 3), [])
        newer = await waiting
        assert newer is not None and newer.number == 4
        assert cv2.imdecode(np.frombuffer(newer.jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (350, MAX_WIDTH, 3)
        mailbox.end(closing=True)
        assert await encoder.after(4) is None
        encoder.close()

    asyncio.run(view())


@pytest.mark.faults
@pytest.mark.parametrize("shape", [(240, 320, 3), (240, 320), (1080, 1920, 3), (16, 16, 3)])
def test_an_outdated_picture_is_dark_and_encoded_once(shape: tuple[int, ...]) -> None:
    async def view() -> None:
        mailbox = FrameMailbox()
        encoder = JpegEncoder(mailbox)
        assert await encoder.outdated("disconnected since 2026-01-02 03:04") is None
        mailbox.put(Frame(np.full(shape, 200, np.uint8), 0), [prediction("happy")])
        notices = ["disconnected since 2026-01-02 03:04"] * 2 + ["no picture since 2026-01-02 03:04"]
        pictures = [await encoder.outdated(notice) for notice in notices]
        encoder.close()
        assert pictures[0] is pictures[1] is not pictures[2] and pictures[0] is not None
        pixels = cv2.imdecode(np.frombuffer(pictures[0].jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert np.median(pixels) < 80 and (shape[0] < 20 or pixels.max() > 150)

    asyncio.run(view())


def test_a_state_is_serialized_once_for_all_who_ask_at_about_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    monkeypatch.setattr(state, "to_json", lambda value: made.append(value) or b"%d" % len(made))
    mailbox, now = FrameMailbox(), 0.0
    monkeypatch.setattr(state, "monotonic", lambda: now)
    with run_info(RunStats()) as run:
        shared = state.SharedState(run, mailbox, Viewers())
        assert {shared.json() for _ in range(50)} == {b"1"}
        mailbox.put(Frame(np.zeros((2, 2, 3), np.uint8), 1), [])
        assert {shared.json() for _ in range(50)} == {b"2"}
        now += 2 * state.MAX_AGE
        assert {shared.json() for _ in range(50)} == {b"3"}
        mailbox.end()
        assert shared.json() == b"4"


def test_a_viewer_that_does_not_read_keeps_no_frame() -> None:
    """Else each would cost the megabytes of a picture."""

    async def view() -> list[object]:
        mailbox = FrameMailbox()
        frames = [Frame(np.zeros((8, 8, 3), np.uint8), index) for index in range(3)]
        kept = [weakref.ref(frame) for frame in frames]
        request = Request({"type": "http", "client": ("10.0.0.1", 1), "headers": [], "query_string": b""})
        encoder = JpegEncoder(mailbox)
        with run_info(RunStats()) as run:
            page = LivePage(run, mailbox, encoder)
            events, stream = [(await answer(request)).body_iterator for answer in (page.events, page.stream)]
            while frames:
                mailbox.put(frames.pop(0), [])
                while b"event: state" not in await anext(events):
                    pass
                await anext(stream)
        mailbox.put(Frame(np.zeros((8, 8, 3), np.uint8), 3), [])
        encoder.close()
        gc.collect()
        return [each() for each in kept]

    assert asyncio.run(view()) == [None] * 3


def test_a_stream_without_new_frames_repeats_its_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a video's end: else nobody would notice that a client has gone, and a proxy would give up."""
    monkeypatch.setattr(app, "NOTICE_INTERVAL", 0.01)
    monkeypatch.setattr(app, "REPEAT_INTERVAL", 0.02)

    async def view() -> list[bytes]:
        mailbox = FrameMailbox()
        encoder = JpegEncoder(mailbox)
        request = Request({"type": "http", "client": ("10.0.0.1", 1), "headers": [], "query_string": b""})
        with run_info(RunStats()) as run:
            stream = (await LivePage(run, mailbox, encoder).stream(request)).body_iterator
            mailbox.put(Frame(np.zeros((8, 8, 3), np.uint8), 0), [])
            mailbox.end()
            parts = [await anext(stream) for _ in range(3)]
        encoder.close()
        return parts

    first, second, third = asyncio.run(view())
    assert b"\r\nX-Frame: 1\r\n" in first and first == second == third


def test_a_page_that_is_opened_at_once_gets_the_first_second() -> None:
    async def view() -> list[bytes]:
        mailbox = FrameMailbox()
        encoder = JpegEncoder(mailbox)
        with run_info(RunStats()) as run:
            request = Request({"type": "http", "client": ("10.0.0.1", 1), "headers": []})
            events = (await LivePage(run, mailbox, encoder).events(request)).body_iterator
            first = [await anext(events) for _ in range(3)]
            mailbox.put(Frame(np.zeros((8, 8, 3), np.uint8), 0), [prediction("happy")])
            mailbox.end()
            more = [await anext(events) for _ in range(2)]
        encoder.close()
        return [event for event in (*first, *more) if b"event: history" in event]

    empty, second = asyncio.run(view())
    assert b'"points":[]' in empty and b'"second":0,' in second


@pytest.mark.parametrize("rate", [25, 30, 60, 120])
def test_uneven_frames_of_a_camera_are_all_encoded_up_to_a_rate(rate: int) -> None:
    """Each is late by up to a third of the time to the next."""
    limit = RateLimit(MAX_RATE)
    times = np.arange(10 * rate) / rate + np.random.default_rng(0).uniform(0, 1 / 3 / rate, 10 * rate)
    encoded, now = 0, 0.0
    for time, after in pairwise(times):
        if time >= now:
            now = time + limit.wait(time)
            encoded += 1
            assert rate > MAX_RATE or now < after
    assert encoded == len(times) - 1 if rate < MAX_RATE else 9 * MAX_RATE < encoded <= 10 * MAX_RATE + 1


def test_no_frame_is_younger_than_now() -> None:
    """Even if one comes while the time since the last is computed."""
    frames = [Frame(np.zeros((2, 2, 3), np.uint8), 1)]

    class Busy(FrameMailbox):
        def age(self) -> float:
            seconds = super().age()
            if frames:
                self.put(frames.pop(), [])
            return seconds

    assert seconds_without_frame(Busy()) >= 0


def test_history_has_means_by_the_second_and_a_limit() -> None:
    history = History()
    for time, faces in [(0.1, ["happy"]), (0.9, ["happy", "sad"]), (1.5, []), (3.0, ["fear"]), (4.0, [])]:
        history.add(time, [prediction(name) for name in faces])
    first, second, third = history.since(-1)
    assert first["faces"] == 1.5
    assert first["scores"][CLASSES.index("happy")] == pytest.approx((0.7 + 0.7 + 0.05) / 3, abs=1e-3)
    assert second == {"second": 1, "faces": 0.0, "scores": None}
    assert third["second"] == 3 and history.since(1) == [third]
    for second in range(10, 20 + 2 * HISTORY_SECONDS):
        history.add(second, [])
    assert len(history.since(-1)) == HISTORY_SECONDS


def test_a_client_of_pictures_is_a_viewer_for_a_while_and_a_page_is_one_viewer() -> None:
    def request(host: str, agent: bytes) -> Request:
        return Request({"type": "http", "client": (host, 1), "headers": [(b"user-agent", agent)]})

    now = 0.0
    viewers = Viewers(lambda: now)
    page, dashboard, other = (
        request("10.0.0.1", b"browser"),
        request("10.0.0.1", b"dashboard"),
        request("10.0.0.2", b"browser"),
    )
    viewers.record_request(page)
    with viewers.viewing(page):
        viewers.record_request(page)
        assert viewers.count() == 1
        with viewers.viewing(page):
            assert viewers.count() == 2
        viewers.record_request(dashboard)
        viewers.record_request(other)
        viewers.record_request(other)
        assert viewers.count() == 3
    assert viewers.count() == 2
    now += RECENT_SECONDS
    viewers.record_request(other)
    assert viewers.count() == 2
    now += RECENT_SECONDS / 2
    assert viewers.count() == 1


# --- metrics -------------------------------------------------------------------------------------------------


@contextmanager
def run_metrics(stats: RunStats) -> Iterator[RunMetrics]:
    with run_info(stats) as run:
        yield RunMetrics(run, FrameMailbox(), Viewers())


def stage_buckets(metrics: RunMetrics, stage: str) -> list[tuple[float, float]]:
    """Upper bounds in seconds and cumulative counts."""
    families = {family.name: family for family in text_string_to_metric_families(metrics.encode().decode())}
    samples = [each for each in families["fer_edge_stage_seconds"].samples if each.labels.get("stage") == stage]
    return [(float(each.labels["le"]), each.value) for each in samples if each.name.endswith("_bucket")]


def quantile(buckets: list[tuple[float, float]], share: float) -> float:
    """As PromQL's histogram_quantile: linear within the bucket."""
    rank = share * buckets[-1][1]
    lower, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank:
            return lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    raise AssertionError(buckets)


def record(stats: RunStats, seconds: float, count: int) -> None:
    for _ in range(count):
        with stats.record_frame([], dict.fromkeys(RUN_STAGES, seconds)):
            pass


def test_stage_quantiles_can_be_computed() -> None:
    """Of 1000 frames, 980 take 3 ms and 20 take 300 ms: the median and the 99th percentile differ a hundredfold."""
    stats = RunStats()
    with run_metrics(stats) as metrics:
        record(stats, 0.003, 980)
        record(stats, 0.3, 20)
        buckets = stage_buckets(metrics, "classify")
    assert buckets[-1] == (float("inf"), 1000)
    assert 0.002 < quantile(buckets, 0.5) <= 0.005
    assert 0.2 < quantile(buckets, 0.99) <= 0.5


def test_two_runs_in_a_process_have_metrics_of_their_own() -> None:
    stats, other = RunStats(), RunStats()
    with run_metrics(stats) as metrics, run_metrics(other) as other_metrics:
        record(stats, 0.003, 5)
        assert stage_buckets(metrics, "detect")[-1][1] == 5
        assert stage_buckets(other_metrics, "detect")[-1][1] == 0
        assert b"\nprocess_resident_memory_bytes " in other_metrics.encode()
