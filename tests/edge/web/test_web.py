"""The live page, asked over HTTP while a real `fer-edge run` looks at a camera on the network."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import httpx
import numpy as np
import pytest
from network_camera import PORTRAIT, moving
from prometheus_client.parser import text_string_to_metric_families
from viewing import Watched
from waiting import LIMIT, until

from fer_edge.edge.types import EMOTIONS
from fer_edge.edge.web.static_files import STATIC

PATHS = ("/", "/frame.jpg", "/stream.mjpg", "/api/state", "/api/history", "/api/events", "/metrics", "/static/page.js")
BROWSER = {"Accept": "text/html,*/*;q=0.8"}
IMAGE = {"Accept": "image/avif,image/webp,*/*;q=0.8"}


@pytest.fixture(scope="module")
def guarded(camera: str) -> Iterator[Watched]:
    """A run that listens on all addresses."""
    with Watched("--source", camera, "--web", "0.0.0.0:0") as watched:
        yield watched


# --- mistakes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--web", "pi"), "expected [HOST:]PORT"),
        (("--web", "127.0.0.1:70000"), "expected [HOST:]PORT"),
        (("--web", "192.0.2.7:8080"), "no address of this machine"),
        (("--web", "a..b:8080"), "no address of this machine"),
        (("--web", "127.0.0.1:0", "--web-token", "short"), "expected 8 or more characters"),
        (("--web", "127.0.0.1:0", "--web-token", "schön genug"), "of ASCII"),
    ],
)
def test_mistakes_cost_one_line(mistake: Callable[..., str], words: tuple[str, ...], told: str) -> None:
    assert told in mistake("run", "--source", PORTRAIT, "--show", "none", *words)


def test_a_port_in_use_costs_one_line(mistake: Callable[..., str], page: Watched) -> None:
    told = mistake("run", "--source", PORTRAIT, "--show", "none", "--web", f"127.0.0.1:{urlsplit(page.url).port}")
    assert "another program listens there" in told


@pytest.mark.parametrize("library", ["starlette", "uvicorn"])
def test_without_the_extra_there_is_one_line(library: str) -> None:
    code = f"import sys; sys.modules['{library}'] = None; from fer_edge.edge.cli import main; main()"
    source = str(STATIC.parents[2] / "benchmarks" / "astronaut.jpg")
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "--source", source, "--web"], capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode == 2
    assert "pip install 'fer-edge[web]'" in done.stderr.splitlines()[-1]


def test_a_run_without_a_page_loads_no_server() -> None:
    code = (
        "import sys, fer_edge.edge.commands.run; "
        "print([n for n in ('starlette', 'uvicorn', 'asyncio') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


# --- what it answers -----------------------------------------------------------------------------------------


def test_state(page: Watched) -> None:
    state = page.state()
    assert state["status"] == "running" and state["live"] and state["stored"] == []
    assert state["size"] == [320, 240] and state["frames"] > 0 and state["rate"] > 0
    assert set(state["stages"]) == {"detect", "track", "crop", "classify", "smooth", "sinks"}
    (face,) = state["faces"]
    assert list(face["scores"]) == list(EMOTIONS)
    assert sum(face["scores"].values()) == pytest.approx(1, abs=1e-4)


def test_the_next_picture_is_another_one(page: Watched) -> None:
    first = page.get("/frame.jpg")
    second = page.get("/frame.jpg", params={"after": first.headers["X-Frame"]})
    assert int(second.headers["X-Frame"]) > int(first.headers["X-Frame"])
    pictures = [cv2.imdecode(np.frombuffer(each.content, np.uint8), cv2.IMREAD_COLOR) for each in (first, second)]
    assert pictures[0].shape == (240, 320, 3)
    assert (pictures[0] != pictures[1]).any()
    for wrong in ("-1", "x", 5000 * "9"):
        assert page.get("/frame.jpg", params={"after": wrong}).status_code == 400


def test_opencv_plays_the_stream(page: Watched) -> None:
    capture = cv2.VideoCapture(f"{page.url}stream.mjpg", cv2.CAP_FFMPEG)
    pictures = [capture.read()[1] for _ in range(5)]
    capture.release()
    assert all(picture.shape == (240, 320, 3) for picture in pictures)
    assert any((pictures[0] != picture).any() for picture in pictures[1:])


def test_events_begin_with_the_history_and_go_on_with_frames(page: Watched) -> None:
    until(lambda: page.get("/api/history").json()["points"])
    events = list(page.events(8))
    name, history = events[0]
    assert name == "history" and history["all"] and history["points"]
    point = history["points"][0]
    assert point["faces"] == pytest.approx(1, abs=0.5) and len(point["scores"]) == 7
    frames = [state["frame"] for name, state in events if name == "state"]
    assert frames == sorted(frames) and frames[0] < frames[-1]


def test_metrics_are_prometheus_own(page: Watched) -> None:
    answers = [page.get("/metrics"), until(lambda: page.state()["frames"] and page.get("/metrics"))]
    assert answers[0].headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    before, after = ({family.name: family for family in text_string_to_metric_families(a.text)} for a in answers)
    kinds = {name: family.type for name, family in after.items()}
    assert kinds["fer_edge_frames"] == "counter" and kinds["fer_edge_frame_age_seconds"] == "gauge"
    assert kinds["fer_edge_stage_seconds"] == "summary"
    assert all(family.documentation and family.type != "unknown" for family in after.values())
    assert after["fer_edge_frames"].samples[0].value >= before["fer_edge_frames"].samples[0].value > 0
    counts = [sample for sample in after["fer_edge_stage_seconds"].samples if sample.name.endswith("_count")]
    assert {sample.labels["stage"] for sample in counts} == set(page.state()["stages"])


def test_health(page: Watched) -> None:
    assert (page.get("/healthz").status_code, page.get("/healthz").text) == (200, "running\n")


def test_who_takes_pictures_is_a_viewer(camera: str) -> None:
    """A player, and a program that asks for one picture after another, as well as a page."""
    with Watched("--source", camera, "--web", "127.0.0.1:0") as watched:
        assert watched.state()["viewers"] == 0
        with httpx.stream("GET", f"{watched.url}stream.mjpg", timeout=LIMIT):
            until(lambda: watched.state()["viewers"] == 1)
            with httpx.stream("GET", f"{watched.url}api/events", timeout=LIMIT):
                until(lambda: watched.state()["viewers"] == 2)
                assert "\nfer_edge_viewers 2\n" in watched.get("/metrics").text
        until(lambda: watched.state()["viewers"] == 0)
        watched.get("/frame.jpg")
        assert watched.state()["viewers"] == 1


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/api/state", "/no-such-page"])
def test_browsers_are_told_what_to_refuse(page: Watched, path: str) -> None:
    headers = page.get(path).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin" and headers["Cache-Control"] == "no-store"


# --- who may look --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "code"),
    [("evil.example", 403), ("localhost.evil.example:80", 403), ("", 403), ("LOCALHOST:99", 200), ("[::1]:8080", 200)],
)
def test_on_loopback_other_names_are_refused(page: Watched, host: str, code: int) -> None:
    assert page.get("/api/state", headers={"Host": host}).status_code == code


@pytest.mark.parametrize("path", PATHS)
def test_beyond_loopback_everything_needs_the_token(guarded: Watched, path: str) -> None:
    assert guarded.get(path, bare=True).status_code == 401


@pytest.mark.parametrize("wrong", ["", "wrong", "ü", "{}x", "{}{}"])
def test_a_wrong_token_opens_nothing(guarded: Watched, wrong: str) -> None:
    wrong = wrong.format(guarded.token, guarded.token)
    headers = {"Authorization": f"Bearer {wrong}".strip().encode()}, {"Cookie": f"{guarded.cookie}={wrong}".encode()}
    codes = {guarded.get("/api/state", bare=True, headers=each).status_code for each in headers}
    assert codes == {401} == {guarded.get("/", bare=True, params={"token": wrong}).status_code}


def test_the_token_opens_as_header_link_and_cookie(guarded: Watched) -> None:
    assert len(guarded.token) >= 32
    assert guarded.get("/api/state", bare=True, headers={"Authorization": f"bearer {guarded.token}"}).status_code == 200
    answer = guarded.get("/", bare=True, params={"token": guarded.token, "a": "b c"}, headers=BROWSER)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?a=b+c")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and guarded.token not in cookie
    assert guarded.get("/", bare=True, headers={"Cookie": cookie.partition(";")[0]}).status_code == 200
    disconnected = guarded.get("//evil.example/", bare=True, params={"token": guarded.token}, headers=BROWSER)
    assert not disconnected.headers["Location"].startswith("//")


def test_players_get_the_picture_by_its_link(guarded: Watched) -> None:
    """They keep no cookie, and a dashboard's page is another origin than this."""
    for path in ("/frame.jpg", "/api/state"):
        answer = guarded.get(path, bare=True, params={"token": guarded.token}, headers=IMAGE)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (200, False)
    capture = cv2.VideoCapture(f"{guarded.url}stream.mjpg?token={guarded.token}", cv2.CAP_FFMPEG)
    assert capture.read()[0]
    capture.release()


def test_other_origins_show_the_picture_with_the_token_in_its_address_alone(guarded: Watched, page: Watched) -> None:
    def policy(watched: Watched, path: str, **options: Any) -> str:
        return watched.get(path, bare=True, **options).headers["Cross-Origin-Resource-Policy"]

    linked, sealed = {"token": guarded.token}, guarded.get("/", params={"token": guarded.token}, headers=BROWSER)
    cookie = {"Cookie": sealed.headers["Set-Cookie"].partition(";")[0]}
    assert policy(guarded, "/frame.jpg", params=linked) == "cross-origin"
    assert policy(guarded, "/api/state", params=linked) == "same-origin"
    assert policy(guarded, "/frame.jpg", headers=cookie) == "same-origin"
    assert policy(guarded, "/frame.jpg", headers={"Authorization": f"Bearer {guarded.token}"}) == "same-origin"
    assert policy(guarded, "/frame.jpg", params={"token": "wrong"}) == "same-origin"
    assert policy(page, "/frame.jpg", params={"token": ""}) == "same-origin"  # where none is asked for


def test_a_wrong_token_is_told_from_none(guarded: Watched) -> None:
    assert 'role="alert"></p>' in guarded.get("/", bare=True, headers=BROWSER).text
    for options in ({"params": {"token": "old"}}, {"headers": {"Authorization": "Bearer old"}}):
        headers = BROWSER | options.pop("headers", {})
        assert "This is not the token" in guarded.get("/", bare=True, headers=headers, **options).text
        assert "is not the token" in guarded.get("/api/state", bare=True, params={"token": "old"}).text
    assert "A token is needed" in guarded.get("/api/state", bare=True).text


def test_the_form_takes_a_token_and_nothing_else(guarded: Watched) -> None:
    right = httpx.post(f"{guarded.url}?a=1", data={"token": guarded.token}, headers=BROWSER)
    assert (right.status_code, right.headers["Location"]) == (303, "/?a=1")
    for body in (b"token=wrong", b"", b"token", b"\xff&%", b"x" * 100_000 + f"&token={guarded.token}".encode()):
        assert httpx.post(guarded.url, content=body, headers=BROWSER).status_code == 401


def test_another_services_odd_cookie_does_no_harm(guarded: Watched) -> None:
    """Cookies are for all ports of a host."""
    answer = guarded.get("/", bare=True, params={"token": guarded.token}, headers=BROWSER)
    seal = answer.headers["Set-Cookie"].partition(";")[0]
    cookies = {"Cookie": f'settings={{"a": 1}}; {seal}; b@d=1'}
    assert guarded.get("/api/state", bare=True, headers=cookies).status_code == 200


def test_health_says_nothing_and_needs_no_token(guarded: Watched) -> None:
    assert guarded.get("/healthz", bare=True).text in ("running\n", "waiting\n")


def test_the_token_is_told_once(guarded: Watched) -> None:
    assert "".join(guarded.errors).count(guarded.token) == 1


def test_a_token_of_ones_own_is_asked_for_and_never_told(camera: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = 'correct;horse="battery,staple'
    monkeypatch.setenv("FER_EDGE_WEB_TOKEN", own)
    with Watched("--source", camera, "--web", "127.0.0.1:0") as watched:
        assert watched.token == ""
        assert watched.get("/api/state").status_code == 401
        assert watched.get("/", params={"token": own}, headers=BROWSER).status_code == 303
        assert watched.get("/api/state").status_code == 200  # by the cookie
        assert watched.get("/api/state", bare=True, headers={"Authorization": f"Bearer {own}"}).status_code == 200
        assert "horse" not in "".join(watched.errors)


# --- slow viewers --------------------------------------------------------------------------------------------


def spent(page: Watched) -> Counter[str]:
    """Seconds by stage so far, and frames."""
    families = {family.name: family for family in text_string_to_metric_families(page.get("/metrics").text)}
    sums = [each for each in families["fer_edge_stage_seconds"].samples if each.name.endswith("_sum")]
    frames = families["fer_edge_frames"].samples[0].value
    return Counter({each.labels["stage"]: each.value for each in sums} | {"frames": frames})


@pytest.mark.slow
def test_viewers_that_never_read_hold_nothing_up(page: Watched) -> None:
    """What the engine does for them, which is handing a frame over, stays the least of its work."""
    where = urlsplit(page.url)
    deaf = [socket.create_connection((where.hostname, where.port)) for _ in range(8)]
    try:
        for index, each in enumerate(deaf):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            path = ("stream.mjpg", "api/events")[index % 2]
            each.sendall(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until(lambda: page.state()["viewers"] >= len(deaf))
        before = spent(page)
        until(lambda: spent(page)["frames"] > before["frames"] + 100)
        times = spent(page)
        times.subtract(before)
        del times["frames"]
        assert times["sinks"] < times.total() / 4, times
        newest = page.state()["frames"]
        assert int(page.get("/frame.jpg").headers["X-Frame"]) >= newest - 2  # not one from before
    finally:
        for each in deaf:
            each.close()


# --- the end -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 240))
    for picture in moving(20):
        writer.write(picture)
    writer.release()
    return path


def test_after_the_sources_end_the_page_stays_and_files_are_whole(clip: Path, tmp_path: Path) -> None:
    outputs = ("--save-video", str(tmp_path / "v.mp4"), "--jsonl", str(tmp_path / "o.jsonl"))
    with Watched("--source", str(clip), "--web", "127.0.0.1:0", *outputs) as watched:
        until(lambda: "the source has ended" in "".join(watched.errors))
        assert sorted(os.listdir(tmp_path)) == ["o.jsonl", "v.mp4"]
        state = watched.state()
        assert (state["status"], state["frames"], len(state["faces"])) == ("ended", 20, 1)
        assert state["stored"] == ["results as JSON lines (o.jsonl)", "annotated video (v.mp4)"]
        assert watched.get("/frame.jpg").headers["X-Frame"] == "20"
        assert watched.get("/healthz").text == "ended\n"
        assert watched.ended(signal.SIGTERM) == 0


@pytest.mark.slow
def test_a_limit_ends_page_and_all_and_viewers_are_told(camera: str) -> None:
    with Watched("--source", camera, "--web", "127.0.0.1:0", "--max-frames", "100") as watched:
        with httpx.stream("GET", f"{watched.url}api/events", timeout=LIMIT) as answer:
            told = answer.read().decode()
        assert told.endswith("event: stopped\ndata: {}\n\n")
        assert watched.ended() == 0
    assert "Traceback" not in "".join(watched.errors)
    (line,) = [line for line in watched.errors if " frames/s" in line]
    assert line.startswith("100 frames, ")
