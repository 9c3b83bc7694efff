"""The live page over HTTP, of a real `fer-edge run` with a network camera."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import cv2
import httpx
import numpy as np
import pytest
from network_camera import PORTRAIT, free_port, moving, serving
from predictions import CLASSES
from prometheus_client.parser import text_string_to_metric_families
from viewing import WebRun
from waiting import LIMIT, until

from fer_edge.edge.web.static_files import STATIC

PATHS = ("/", "/frame.jpg", "/stream.mjpg", "/api/state", "/api/history", "/api/events", "/metrics", "/static/page.js")
BROWSER = {"Accept": "text/html,*/*;q=0.8"}
IMAGE = {"Accept": "image/avif,image/webp,*/*;q=0.8"}


@pytest.fixture(scope="module")
def protected(camera: str) -> Iterator[WebRun]:
    """A run that listens on all addresses, and so needs a token."""
    with WebRun("--source", camera, "--web", "0.0.0.0:0") as run:
        yield run


# --- mistakes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--web", "pi"), "expected [HOST:]PORT"),
        (("--web", "127.0.0.1:70000"), "expected [HOST:]PORT"),
        (("--web", "192.0.2.7:8080"), "not an address of this machine"),
        (("--web", "a..b:8080"), "not an address of this machine"),
        (("--web", "127.0.0.1:0", "--web-token", "short"), "expected 8 or more"),
        (("--web", "127.0.0.1:0", "--web-token", "schön genug"), "ASCII characters"),
    ],
)
def test_mistakes_cost_one_line(mistake: Callable[..., str], words: tuple[str, ...], message: str) -> None:
    assert message in mistake("run", "--source", PORTRAIT, "--show", "none", *words)


def test_a_port_in_use_costs_one_line(mistake: Callable[..., str], page: WebRun) -> None:
    message = mistake("run", "--source", PORTRAIT, "--show", "none", "--web", f"127.0.0.1:{urlsplit(page.url).port}")
    assert "in use" in message


@pytest.mark.parametrize("library", ["starlette", "uvicorn", "prometheus_client"])
def test_without_the_extra_there_is_one_line(library: str) -> None:
    code = f"import sys; sys.modules['{library}'] = None; from fer_edge.edge.cli import main; main()"
    source = str(STATIC.parents[2] / "benchmarks" / "astronaut.jpg")
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "--source", source, "--web"], capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode == 2
    assert "[web]'" in done.stderr.splitlines()[-1]


def test_a_run_without_a_page_loads_no_server() -> None:
    code = (
        "import sys, fer_edge.edge.commands.run; "
        "print([n for n in ('starlette', 'uvicorn', 'asyncio', 'prometheus_client') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


# --- what it answers -----------------------------------------------------------------------------------------


def test_state(page: WebRun) -> None:
    state = page.state()
    assert state["status"] == "running" and state["live"] and state["stored"] == []
    assert state["size"] == [320, 240] and state["frames"] > 0 and state["rate"] > 0
    assert set(state["stages"]) == {"detect", "track", "crop", "classify", "smooth", "sinks"}
    (face,) = state["faces"]
    assert list(face["scores"]) == list(CLASSES)
    assert sum(face["scores"].values()) == pytest.approx(1, abs=1e-4)


def test_the_next_picture_has_another_frame(page: WebRun) -> None:
    first = page.get("/frame.jpg")
    second = page.get("/frame.jpg", params={"after": first.headers["X-Frame"]})
    assert int(second.headers["X-Frame"]) > int(first.headers["X-Frame"])
    pictures = [cv2.imdecode(np.frombuffer(each.content, np.uint8), cv2.IMREAD_COLOR) for each in (first, second)]
    assert pictures[0].shape == (240, 320, 3)
    assert (pictures[0] != pictures[1]).any()
    for wrong in ("-1", "x", 5000 * "9"):
        assert page.get("/frame.jpg", params={"after": wrong}).status_code == 400


def test_opencv_plays_the_stream(page: WebRun) -> None:
    capture = cv2.VideoCapture(f"{page.url}stream.mjpg", cv2.CAP_FFMPEG)
    pictures = [capture.read()[1] for _ in range(5)]
    capture.release()
    assert all(picture.shape == (240, 320, 3) for picture in pictures)
    assert any((pictures[0] != picture).any() for picture in pictures[1:])


def test_parts_of_the_stream_have_the_frames_number(page: WebRun) -> None:
    with httpx.stream("GET", f"{page.url}stream.mjpg", timeout=LIMIT) as answer:
        received = b""
        for piece in answer.iter_raw():
            received += piece
            if len(numbers := [int(number) for number in re.findall(rb"\r\nX-Frame: (\d+)\r\n", received)]) == 3:
                break
    assert numbers == sorted(set(numbers)) and numbers[0] <= page.state()["frames"]


def test_events_begin_with_the_history_and_go_on_with_frames(page: WebRun) -> None:
    until(lambda: page.get("/api/history").json()["points"])
    events = list(page.events(8))
    name, history = events[0]
    assert name == "history" and history["all"] and history["points"]
    point = history["points"][0]
    assert point["faces"] == pytest.approx(1, abs=0.5) and len(point["scores"]) == 7
    frames = [state["frame"] for name, state in events if name == "state"]
    assert frames == sorted(frames) and frames[0] < frames[-1]


def test_metrics_in_prometheus_text_format(page: WebRun) -> None:
    answers = [page.get("/metrics"), until(lambda: page.state()["frames"] and page.get("/metrics"))]
    assert answers[0].headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    before, after = ({family.name: family for family in text_string_to_metric_families(a.text)} for a in answers)
    kinds = {name: family.type for name, family in after.items()}
    assert kinds["fer_edge_frames"] == "counter" and kinds["fer_edge_frame_age_seconds"] == "gauge"
    assert kinds["fer_edge_stage_seconds"] == "histogram"
    assert all(family.documentation and family.type != "unknown" for family in after.values())
    assert after["fer_edge_frames"].samples[0].value >= before["fer_edge_frames"].samples[0].value > 0
    counts = [sample for sample in after["fer_edge_stage_seconds"].samples if sample.name.endswith("_count")]
    assert {sample.labels["stage"] for sample in counts} == set(page.state()["stages"])


def test_health(page: WebRun) -> None:
    assert (page.get("/healthz").status_code, page.get("/healthz").text) == (200, "running\n")


@pytest.mark.slow
def test_clients_of_pictures_are_viewers(camera: str) -> None:
    """A player, and a program that fetches one picture after another, as well as a page."""
    with WebRun("--source", camera, "--web", "127.0.0.1:0") as run:
        assert run.state()["viewers"] == 0
        with httpx.stream("GET", f"{run.url}stream.mjpg", timeout=LIMIT):
            until(lambda: run.state()["viewers"] == 1)
            with httpx.stream("GET", f"{run.url}api/events", timeout=LIMIT):
                until(lambda: run.state()["viewers"] == 2)
                assert "\nfer_edge_viewers 2.0\n" in run.get("/metrics").text
        until(lambda: run.state()["viewers"] == 0)
        run.get("/frame.jpg")
        assert run.state()["viewers"] == 1


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/api/state", "/no-such-page"])
def test_security_headers(page: WebRun, path: str) -> None:
    headers = page.get(path).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin" and headers["Cache-Control"] == "no-store"


# --- access -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "code"),
    [("evil.example", 403), ("localhost.evil.example:80", 403), ("", 403), ("LOCALHOST:99", 200), ("[::1]:8080", 200)],
)
def test_on_loopback_other_host_names_are_refused(page: WebRun, host: str, code: int) -> None:
    assert page.get("/api/state", headers={"Host": host}).status_code == code


@pytest.mark.parametrize("path", PATHS)
def test_beyond_loopback_every_path_needs_the_token(protected: WebRun, path: str) -> None:
    assert protected.get(path, anonymous=True).status_code == 401


@pytest.mark.parametrize("wrong", ["", "wrong", "ü", "{}x", "{}{}"])
def test_a_wrong_token_opens_nothing(protected: WebRun, wrong: str) -> None:
    wrong = wrong.format(protected.token, protected.token)
    headers = {"Authorization": f"Bearer {wrong}".strip().encode()}, {"Cookie": f"{protected.cookie}={wrong}".encode()}
    codes = {protected.get("/api/state", anonymous=True, headers=each).status_code for each in headers}
    assert codes == {401} == {protected.get("/", anonymous=True, params={"token": wrong}).status_code}


def test_the_token_opens_as_header_link_and_cookie(protected: WebRun) -> None:
    assert len(protected.token) >= 32
    header = {"Authorization": f"bearer {protected.token}"}
    assert protected.get("/api/state", anonymous=True, headers=header).status_code == 200
    answer = protected.get("/", anonymous=True, params={"token": protected.token, "a": "b c"}, headers=BROWSER)
    assert (answer.status_code, answer.headers["Location"]) == (303, "./?a=b+c")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and protected.token not in cookie
    assert protected.get("/", anonymous=True, headers={"Cookie": cookie.partition(";")[0]}).status_code == 200
    netloc = urlsplit(protected.url).netloc
    answer = protected.get("//evil.example/", anonymous=True, params={"token": protected.token}, headers=BROWSER)
    assert urlsplit(urljoin(f"{protected.url}/evil.example/", answer.headers["Location"])).netloc == netloc


def test_players_get_the_picture_by_its_link(protected: WebRun) -> None:
    """They keep no cookie, and a dashboard's page is another origin than this."""
    for path in ("/frame.jpg", "/api/state"):
        answer = protected.get(path, anonymous=True, params={"token": protected.token}, headers=IMAGE)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (200, False)
    capture = cv2.VideoCapture(f"{protected.url}stream.mjpg?token={protected.token}", cv2.CAP_FFMPEG)
    assert capture.read()[0]
    capture.release()


def test_other_origins_show_the_picture_with_the_token_in_its_address_alone(protected: WebRun, page: WebRun) -> None:
    def policy(run: WebRun, path: str, **options: Any) -> str:
        return run.get(path, anonymous=True, **options).headers["Cross-Origin-Resource-Policy"]

    link = {"token": protected.token}
    redirect = protected.get("/", params=link, headers=BROWSER)
    cookie = {"Cookie": redirect.headers["Set-Cookie"].partition(";")[0]}
    assert policy(protected, "/frame.jpg", params=link) == "cross-origin"
    assert policy(protected, "/api/state", params=link) == "same-origin"
    assert policy(protected, "/frame.jpg", headers=cookie) == "same-origin"
    assert policy(protected, "/frame.jpg", headers={"Authorization": f"Bearer {protected.token}"}) == "same-origin"
    assert policy(protected, "/frame.jpg", params={"token": "wrong"}) == "same-origin"
    assert policy(page, "/frame.jpg", params={"token": ""}) == "same-origin"  # where none is needed


def test_a_wrong_token_gets_another_message_than_none(protected: WebRun) -> None:
    assert 'role="alert"></p>' in protected.get("/", anonymous=True, headers=BROWSER).text
    for options in ({"params": {"token": "old"}}, {"headers": {"Authorization": "Bearer old"}}):
        headers = BROWSER | options.pop("headers", {})
        assert "This is not the token" in protected.get("/", anonymous=True, headers=headers, **options).text
        assert "is not the token" in protected.get("/api/state", anonymous=True, params={"token": "old"}).text
    assert "A token is needed" in protected.get("/api/state", anonymous=True).text


def test_the_form_takes_a_token_and_nothing_else(protected: WebRun) -> None:
    right = httpx.post(f"{protected.url}?a=1", data={"token": protected.token}, headers=BROWSER)
    assert (right.status_code, right.headers["Location"]) == (303, "./?a=1")
    for body in (b"token=wrong", b"", b"token", b"\xff&%", b"x" * 100_000 + f"&token={protected.token}".encode()):
        assert httpx.post(protected.url, content=body, headers=BROWSER).status_code == 401


def test_another_services_odd_cookie_does_no_harm(protected: WebRun) -> None:
    """A host's cookies are sent for all its ports."""
    answer = protected.get("/", anonymous=True, params={"token": protected.token}, headers=BROWSER)
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    cookies = {"Cookie": f'settings={{"a": 1}}; {cookie}; b@d=1'}
    assert protected.get("/api/state", anonymous=True, headers=cookies).status_code == 200


def test_health_needs_no_token(protected: WebRun) -> None:
    assert protected.get("/healthz", anonymous=True).text in ("running\n", "waiting\n")


def test_the_token_is_printed_once(protected: WebRun) -> None:
    assert "".join(protected.errors).count(protected.token) == 1


@pytest.mark.slow
def test_an_own_token_is_required_and_never_printed(camera: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = 'correct;horse="battery,staple'
    monkeypatch.setenv("FER_EDGE_WEB_TOKEN", own)
    with WebRun("--source", camera, "--web", "127.0.0.1:0") as run:
        assert run.token == ""
        assert run.get("/api/state").status_code == 401
        assert run.get("/", params={"token": own}, headers=BROWSER).status_code == 303
        assert run.get("/api/state").status_code == 200  # by the cookie
        assert run.get("/api/state", anonymous=True, headers={"Authorization": f"Bearer {own}"}).status_code == 200
        assert "horse" not in "".join(run.errors)


# --- slow viewers --------------------------------------------------------------------------------------------


def stage_seconds(page: WebRun) -> Counter[str]:
    """Seconds so far by stage, and the number of frames as `frames`."""
    families = {family.name: family for family in text_string_to_metric_families(page.get("/metrics").text)}
    sums = [each for each in families["fer_edge_stage_seconds"].samples if each.name.endswith("_sum")]
    frames = families["fer_edge_frames"].samples[0].value
    return Counter({each.labels["stage"]: each.value for each in sums} | {"frames": frames})


@pytest.mark.slow
def test_viewers_that_never_read_do_not_slow_the_run(page: WebRun) -> None:
    """The output stage, which hands a frame over, stays the smallest part of the run's time."""
    where = urlsplit(page.url)
    connections = [socket.create_connection((where.hostname, where.port)) for _ in range(8)]
    try:
        for index, each in enumerate(connections):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            path = ("stream.mjpg", "api/events")[index % 2]
            each.sendall(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until(lambda: page.state()["viewers"] >= len(connections))
        before = stage_seconds(page)
        until(lambda: stage_seconds(page)["frames"] > before["frames"] + 100)
        times = stage_seconds(page)
        times.subtract(before)
        del times["frames"]
        assert times["sinks"] < times.total() / 4, times
        number = 0
        for _ in range(20):
            newest = page.state()["frames"]
            number, before = int(page.get("/frame.jpg", params={"after": number}).headers["X-Frame"]), number
            assert number > before and number >= newest - 2  # not one from before
    finally:
        for each in connections:
            each.close()


# --- a lost camera -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.faults
def test_players_and_dashboards_get_no_old_picture_as_if_live() -> None:
    """They have nothing but the picture: it gets dark, and says since when the camera is disconnected."""
    port = free_port()
    with ExitStack() as filming:
        address = filming.enter_context(serving("http", port))
        with WebRun("--source", address, "--web", "127.0.0.1:0") as run, ExitStack() as playing:
            answer = playing.enter_context(httpx.stream("GET", f"{run.url}stream.mjpg", timeout=LIMIT))
            pictures = jpegs_of(answer)
            assert brightness(next(pictures)) > 60
            filming.close()
            until(lambda: run.state()["status"] == "disconnected")
            until(lambda: brightness(next(pictures)) < 40)
            assert brightness(run.get("/frame.jpg").content) < 40
            with serving("http", port):
                until(lambda: brightness(next(pictures)) > 60)
                assert brightness(run.get("/frame.jpg").content) > 60


def jpegs_of(answer: httpx.Response) -> Iterator[bytes]:
    """The pictures of a stream."""
    received = b""
    for data in answer.iter_raw():
        *whole, received = (received + data).split(b"--fer-edge-frame\r\n")
        yield from (part.partition(b"\r\n\r\n")[2] for part in whole if part)


def brightness(jpeg: bytes) -> float:
    return float(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE).mean())


# --- the end -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 240))
    for picture in moving(20):
        writer.write(picture)
    writer.release()
    return path


@pytest.mark.slow
def test_after_a_files_end_the_page_stays_and_outputs_are_complete(clip: Path, tmp_path: Path) -> None:
    outputs = ("--save-video", str(tmp_path / "v.mp4"), "--jsonl", str(tmp_path / "o.jsonl"))
    with WebRun("--source", str(clip), "--web", "127.0.0.1:0", *outputs) as run:
        until(lambda: "the source has ended" in "".join(run.errors))
        assert sorted(os.listdir(tmp_path)) == ["o.jsonl", "v.mp4"]
        state = run.state()
        assert (state["status"], state["frames"], len(state["faces"])) == ("ended", 20, 1)
        assert state["stored"] == ["results as JSON lines (o.jsonl)", "annotated video (v.mp4)"]
        assert run.get("/frame.jpg").headers["X-Frame"] == "20"
        assert run.get("/healthz").text == "ended\n"
        assert run.wait(signal.SIGTERM) == 0


@pytest.mark.slow
def test_a_limit_ends_the_run_and_open_pages_get_stopped(camera: str) -> None:
    with WebRun("--source", camera, "--web", "127.0.0.1:0", "--max-frames", "100") as run:
        with httpx.stream("GET", f"{run.url}api/events", timeout=LIMIT) as answer:
            text = answer.read().decode()
        assert text.endswith("event: stopped\ndata: {}\n\n")
        assert run.wait() == 0
    assert "Traceback" not in "".join(run.errors)
    (line,) = [line for line in run.errors if " frames/s" in line]
    assert line.startswith("100 frames, ")
