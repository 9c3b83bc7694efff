"""The live page in Chromium: mouse, keyboard, phone width, light and dark."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from chromium import chromium
from network_camera import PORTRAIT, free_port, serving
from predictions import CLASSES
from prefix_proxy import prefix_proxy
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from viewing import WebRun, still_page
from waiting import LIMIT, until

from fer_edge.edge.device.thermal import ThermalMonitor
from fer_edge.edge.sinks.run_stats import RunStats
from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.pictures import read_picture
from fer_edge.edge.types import Box, Face, Frame, Prediction
from fer_edge.edge.web.sink import WebSink
from fer_edge.edge.web.state import RunInfo

pytestmark = pytest.mark.browser

PIXELS = "return document.getElementById('picture').toDataURL('image/jpeg', 0.3)"
BARS = "return [...document.querySelectorAll('.face .bar > i')].map(bar => bar.style.transform).join()"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def at(browser: webdriver.Chrome, page: WebRun) -> Iterator[webdriver.Chrome]:
    """The browser on the running page, showing a face; no error in its console afterwards."""
    browser.get("about:blank")  # errors of an earlier page are dropped below
    browser.get_log("browser")
    browser.get_log("performance")
    opened(browser, page.url)
    yield browser
    assert browser.get_log("browser") == []


def opened(browser: webdriver.Chrome, url: str) -> None:
    browser.get(url)
    until(lambda: browser.execute_script(BARS))


def text(browser: webdriver.Chrome, name: str) -> str:
    return browser.find_element(By.ID, name).text


def emulate(browser: webdriver.Chrome, width: int, scheme: str = "light") -> None:
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    query = f"(width: {width}px) and (prefers-color-scheme: {scheme})"
    until(lambda: browser.execute_script("return matchMedia(arguments[0]).matches", query))


def changes(browser: webdriver.Chrome, script: str) -> bool:
    """Wait until the script returns another value."""
    before = browser.execute_script(script)
    return bool(until(lambda: browser.execute_script(script) != before))


def test_picture_bars_and_figures_move(at: webdriver.Chrome) -> None:
    until(lambda: int(at.find_element(By.ID, "picture").get_attribute("data-frame") or 0) > 1)
    assert changes(at, PIXELS)
    assert changes(at, BARS)
    assert changes(at, "return document.getElementById('frames').textContent")
    assert text(at, "status") == "live"
    assert float(text(at, "rate")) > 0
    assert len(at.find_elements(By.CSS_SELECTOR, "#stages tr")) == 6


def test_nothing_comes_from_another_host(at: webdriver.Chrome, page: WebRun) -> None:
    events: list[dict[str, Any]] = [json.loads(entry["message"])["message"] for entry in at.get_log("performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert len(urls) > 8
    assert {urlsplit(url).netloc for url in urls} == {urlsplit(page.url).netloc}


def test_nothing_is_stored(at: webdriver.Chrome) -> None:
    assert text(at, "privacy").startswith("Nothing is stored.")


def test_viewers_are_counted(at: webdriver.Chrome, page: WebRun) -> None:
    """A player, too, which has no page open."""
    assert "in a player or dashboard" in text(at, "privacy")
    until(lambda: text(at, "viewers") == "1")  # an earlier page is no longer counted
    with httpx.stream("GET", f"{page.url}stream.mjpg", timeout=LIMIT):
        until(lambda: text(at, "viewers") == "2")


def test_bars_are_meters_with_names_and_values(at: webdriver.Chrome) -> None:
    read = "return [...document.querySelectorAll('[role=meter]')].map(bar => [bar.ariaLabel, Number(bar.ariaValueNow)])"
    meters = at.execute_script(read)
    assert len({name for name, _ in meters}) == len(meters) >= 7
    assert all(0 <= value <= 100 for _, value in meters)


def test_the_boards_temperature_is_shown(browser: webdriver.Chrome, tmp_path: Path) -> None:
    """And thermal throttling, of a fake board, as not every machine has a sensor."""
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal\n")
    (zone / "temp").write_text("61400\n")
    with ExitStack() as closing:
        thermal = ThermalMonitor(lambda *_: None, tmp_path, 0.05)
        closing.callback(thermal.close)
        source = closing.enter_context(open_source(source=PORTRAIT))
        page = WebSink("127.0.0.1:0", None, RunInfo(source, "ensemble", CLASSES, (), RunStats(), thermal))
        closing.callback(page.close)
        page.show(next(iter(source)), [])
        browser.get(page.link)
        until(lambda: text(browser, "celsius") == "61 °C")
        assert not browser.find_element(By.ID, "throttling").is_displayed()
        (zone / "temp").write_text("83600\n")
        until(lambda: text(browser, "celsius") == "84 °C")
        until(lambda: text(browser, "throttling").startswith("hot: "))
        assert httpx.get(f"{page.link}api/state").json()["celsius"] == 83.6
        assert "\nfer_edge_board_celsius 83.6\n" in httpx.get(f"{page.link}metrics").text


def test_bars_and_legend_are_of_the_models_classes(browser: webdriver.Chrome) -> None:
    """And not more of them than one can read, each with a colour."""
    for classes in (("drowsy", "awake"), tuple(f"class {index}" for index in range(30))):
        with still_page(classes=classes) as page:
            scores = np.linspace(1, 2, len(classes), dtype=np.float32)
            face = Prediction(Face(Box(180, 60, 90, 110), 0.9, None, 1), scores / scores.sum(), classes)
            for second in range(3):
                page.show(Frame(read_picture(PORTRAIT), second, 0.4 * second), [face])
                time.sleep(0.5)
            opened(browser, page.link)
            until(lambda names=list(classes): text(browser, "legend").split("\n") == names)
            rows = browser.find_elements(By.CSS_SELECTOR, ".face .row")
            assert [row.text.split("\n")[0] for row in rows if row.is_displayed()] == list(classes)[-10:]
            swatch = "return [...document.querySelectorAll('#legend i')].map(i => getComputedStyle(i).backgroundColor)"
            assert len(set(browser.execute_script(swatch))) == min(len(classes), 10)


def test_pause_by_keyboard_stops_the_picture(at: webdriver.Chrome, page: WebRun) -> None:
    at.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert at.switch_to.active_element.get_attribute("id") == "pause"
    at.switch_to.active_element.send_keys(Keys.SPACE)
    still = until(lambda: _still(at))
    before = page.state()["frames"]
    until(lambda: page.state()["frames"] > before + 10)
    assert at.execute_script(PIXELS) == still
    assert changes(at, BARS)
    at.switch_to.active_element.send_keys(Keys.SPACE)
    assert changes(at, PIXELS)


def _still(browser: webdriver.Chrome) -> str | None:
    """The picture if it has not changed for longer than a request takes, else None."""
    script = (
        "const [look, done] = [() => document.getElementById('picture').toDataURL('image/jpeg', 0.3), arguments[0]];"
    )
    script += "const before = look(); setTimeout(() => done(look() === before ? before : null), 2000)"
    picture: str | None = browser.execute_async_script(script)
    return picture


def test_the_chart_is_read_with_arrow_keys(at: webdriver.Chrome, page: WebRun) -> None:
    until(lambda: len(page.get("/api/history").json()["points"]) > 3)
    opened(at, page.url)
    chart = at.find_element(By.ID, "chart")
    until(lambda: int(chart.get_attribute("aria-valuenow") or 0) > 0)

    def earlier() -> str | None:
        chart.send_keys(Keys.ARROW_LEFT)
        read = "return [document.getElementById('moment').textContent, arguments[0].getAttribute('aria-valuetext')]"
        text, aria_text = at.execute_script(read, chart)  # at once: they change every second
        return text if text == aria_text and "ago: one face: " in text else None

    assert "%" in (until(earlier) or "")


@pytest.mark.parametrize("width", [320, 390, 820, 1600])
def test_it_fits_every_width(at: webdriver.Chrome, width: int) -> None:
    emulate(at, width)
    assert at.execute_script("return document.documentElement.scrollWidth") <= width
    boxes = [at.find_element(By.ID, name).rect for name in ("live", "faces-card", "history", "engine")]
    if width < 500:  # one under the other, what matters first
        assert [box["y"] for box in boxes] == sorted(box["y"] for box in boxes)
        assert len({box["x"] for box in boxes}) == 1
    button = at.find_element(By.ID, "pause").rect
    assert button["height"] >= 44 and button["width"] >= 44  # for thumbs


def test_light_and_dark(at: webdriver.Chrome) -> None:
    backgrounds = []
    for scheme in ("light", "dark"):
        emulate(at, 1280, scheme)
        backgrounds.append(at.execute_script("return getComputedStyle(document.documentElement).backgroundColor"))
    light, dark = [sum(map(int, background[4:-1].split(","))) for background in backgrounds]
    assert light > 600 and dark < 100
    emulate(at, 1280)


def test_the_token_form(browser: webdriver.Chrome, camera: str) -> None:
    with WebRun("--source", camera, "--web", "0.0.0.0:0") as protected:
        browser.get(protected.url)
        assert browser.find_elements(By.ID, "picture") == []
        field = browser.find_element(By.ID, "token")
        assert field.accessible_name == "Token"
        field.send_keys("wrong-token", Keys.ENTER)
        alert = until(lambda: browser.find_elements(By.CSS_SELECTOR, "[role=alert]:not(:empty)"))[0]
        assert alert.is_displayed() and alert.text.startswith("This is not the token")
        assert browser.find_element(By.ID, "token").get_attribute("aria-describedby") == alert.get_attribute("id")
        assert browser.current_url == protected.url
        browser.find_element(By.ID, "token").send_keys(protected.token, Keys.ENTER)
        until(lambda: browser.execute_script(BARS))
        assert browser.current_url == protected.url
        assert protected.token not in browser.execute_script("return document.cookie + document.body.innerHTML")
        opened(browser, protected.url)  # by the cookie


@pytest.mark.faults
def test_the_page_behind_a_proxy_below_a_path(browser: webdriver.Chrome, camera: str) -> None:
    """Token form, picture, bars and the picture's number, which only grows where pictures come."""
    with (
        WebRun("--source", camera, "--web", "0.0.0.0:0") as protected,
        prefix_proxy(protected.url, X_Forwarded_For="192.0.2.7") as url,
    ):
        browser.get(url)
        browser.get_log("browser")  # the refusal above
        assert "rgb(245, 246, 248)" in browser.execute_script(
            "return getComputedStyle(document.documentElement).background"
        )
        browser.find_element(By.ID, "token").send_keys(protected.token, Keys.ENTER)
        until(lambda: browser.execute_script(BARS))
        assert browser.current_url == url
        assert changes(browser, PIXELS)
        opened(browser, f"{url}?token={protected.token}")
        assert browser.current_url == url
        assert browser.get_log("browser") == []


@contextmanager
def dashboard(folder: Path, text: str) -> Iterator[str]:
    """The address of a page of another service on this machine."""
    (folder / "index.html").write_text(text)
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_a_dashboard_shows_the_picture(browser: webdriver.Chrome, camera: str, tmp_path: Path) -> None:
    """With the token in its address; the cookie, which is for all ports of a host, is not enough."""
    with WebRun("--source", camera, "--web", "0.0.0.0:0") as protected:
        opened(browser, f"{protected.url}?token={protected.token}")
        paths = [f"stream.mjpg?token={protected.token}", f"frame.jpg?token={protected.token}", "frame.jpg"]
        images = (f"<img src='{protected.url}{path}' onload='this.alt=1' onerror='this.alt=0'>" for path in paths)
        with dashboard(tmp_path, "".join(images)) as address:
            browser.get(address)
            read = "return [...document.images].map(image => image.alt).join('')"
            until(lambda: len(browser.execute_script(read)) == len(paths))
            assert browser.execute_script(read) == "110"


@pytest.mark.faults
def test_a_disconnected_camera_is_shown_until_it_is_back(browser: webdriver.Chrome) -> None:
    port = free_port()
    with ExitStack() as filming:
        address = filming.enter_context(serving("http", port))
        with WebRun("--source", address, "--web", "127.0.0.1:0") as run:
            opened(browser, run.url)
            filming.close()
            until(lambda: text(browser, "status") == "disconnected")
            until(lambda: re.match(rf"{address} has been disconnected for [1-9]\d* s, since ", text(browser, "notice")))
            until(lambda: text(browser, "no-face") == "The source is disconnected: there is no picture.")
            assert browser.title.startswith("disconnected")
            assert "disconnected" in (browser.find_element(By.ID, "picture").get_attribute("aria-label") or "")
            until(lambda: run.state()["disconnected"] > 1)
            health = run.get("/healthz")
            assert (health.status_code, health.text) == (503, "disconnected\n")
            assert re.search(r"\nfer_edge_source_disconnected_seconds [1-9]", run.get("/metrics").text)
            assert run.state()["faces"] == []
            browser.get(run.url)  # opened while it is disconnected
            until(lambda: text(browser, "no-face") == "The source is disconnected: there is no picture.")
            with serving("http", port):
                until(lambda: text(browser, "status") == "live" and browser.execute_script(BARS))
                assert not browser.find_element(By.ID, "notice").is_displayed()
                assert "\nfer_edge_source_disconnected_seconds 0" in run.get("/metrics").text
                assert run.get("/healthz").text == "running\n"
            assert run.wait(signal.SIGTERM) == 0
            until(lambda: text(browser, "no-face") == "fer-edge has stopped.")


def test_after_the_end_there_is_the_history(browser: webdriver.Chrome, clip: Path) -> None:
    """Even of a clip that takes less than a second."""
    with WebRun("--source", str(clip), "--web", "127.0.0.1:0") as run:
        until(lambda: run.state()["status"] == "ended")
        browser.get(run.url)
        until(lambda: text(browser, "status") == "ended")
        browser.find_element(By.ID, "chart").send_keys(Keys.END)
        # on a busy machine the face is gone in the last second
        assert re.match("1 s ago: (one face: |no face$)", text(browser, "moment"))


def test_outputs_that_store_and_the_end_are_shown(browser: webdriver.Chrome, camera: str, tmp_path: Path) -> None:
    with WebRun("--source", camera, "--web", "127.0.0.1:0", "--jsonl", str(tmp_path / "o.jsonl")) as run:
        opened(browser, run.url)
        assert text(browser, "privacy").startswith("Stored on the device: results as JSON lines (o.jsonl).")
        until(lambda: run.state()["frames"])
        assert run.wait(signal.SIGTERM) == 0
        until(lambda: text(browser, "status") == "stopped")
        assert "started again" in text(browser, "notice")
