"""The live page behind a reverse proxy that shows it below a path, and without one."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from prefix_proxy import prefix_proxy
from viewing import still_page
from waiting import LIMIT

from fer_edge.edge.web.sink import WebSink

TOKEN = "a-token-that-is-long"
BROWSER = {"Accept": "text/html,*/*;q=0.8"}

pytestmark = pytest.mark.faults


@pytest.fixture
def page() -> Iterator[WebSink]:
    with still_page(TOKEN) as sink:
        yield sink


def browser() -> httpx.Client:
    return httpx.Client(headers=BROWSER, follow_redirects=True, timeout=LIMIT)


@pytest.mark.parametrize("prefix", ["/", "/cam/", "/a/b/c/", "/cam%20era/"])
def test_the_page_opens_below_a_path(page: WebSink, prefix: str) -> None:
    """By its link and by the form, and everything that it loads."""
    with prefix_proxy(page.link, prefix) as url, browser() as by_link, browser() as by_form:
        opened = by_link.get(url, params={"token": TOKEN, "a": "b"})
        assert (opened.status_code, str(opened.url)) == (200, f"{url}?a=b")
        refused = by_form.get(url)
        assert refused.status_code == 401 and 'action="./"' in refused.text and '"./static/page.css"' in refused.text
        assert str(by_form.post(url, data={"token": TOKEN}).url) == url
        for client in (by_link, by_form):
            for path in ("", "static/page.js", "api/state", "api/history", "frame.jpg?after=0", "metrics", "healthz"):
                assert client.get(url + path).status_code == 200, path


@pytest.mark.parametrize("path", ["api/state", "static/page.js", "api/", "no/such/page", "api/state/"])
def test_the_form_finds_its_way_from_any_address(page: WebSink, path: str) -> None:
    with prefix_proxy(page.link) as url, browser() as client:
        text = client.get(url + path).text
        (action,) = {line.partition('action="')[2].partition('"')[0] for line in text.splitlines() if "action=" in line}
        assert str(httpx.URL(url + path).join(action)) == url
        assert client.get(httpx.URL(url + path).join(f"{action}static/page.css")).status_code == 200


def test_cookies_of_two_cameras_below_one_host(page: WebSink) -> None:
    """They have the same name where both listen on the same port of two machines."""
    with prefix_proxy(page.link, "/one/") as url, browser() as client:
        cookie = client.get(url, params={"token": TOKEN}).history[0].headers["Set-Cookie"]
        assert "Path" not in cookie and "HttpOnly" in cookie and "SameSite=strict" in cookie and "Secure" not in cookie
        name, value = cookie.partition(";")[0].split("=")
        both = [f"{name}={value}; {name}=other", f"{name}=other; {name}={value}"]
        assert [httpx.get(url, headers={"Cookie": each}).status_code for each in both] == [200, 200]


def test_behind_https_the_cookie_is_secure(page: WebSink) -> None:
    with prefix_proxy(page.link, X_Forwarded_Proto="https") as url:
        answer = httpx.get(url, params={"token": TOKEN}, headers=BROWSER)
        assert "; Secure" in answer.headers["Set-Cookie"]


def test_with_a_token_the_proxys_host_name_does_not_matter(page: WebSink) -> None:
    with prefix_proxy(page.link, Host="camera.example") as url:
        assert httpx.get(url, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_without_a_token_the_page_names_the_remedy() -> None:
    with still_page() as page, prefix_proxy(page.link, Host="camera.example") as url:
        answer = httpx.get(url)
        assert answer.status_code == 403 and "--web-token" in answer.text


def test_streams_are_not_buffered(page: WebSink) -> None:
    for path in ("stream.mjpg", "api/events"):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.stream("GET", page.link + path, headers=headers, timeout=LIMIT) as answer:
            assert answer.headers["X-Accel-Buffering"] == "no"
        head = httpx.head(page.link + path, headers=headers, timeout=LIMIT)
        assert head.status_code == 200 and urlsplit(str(head.url)).path == f"/{path}"
