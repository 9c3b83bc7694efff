"""The live page's routes: the page, its picture, its events, and what programs read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from time import monotonic

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from fer_edge.edge.web.frame_mailbox import FrameMailbox
from fer_edge.edge.web.history import HISTORY_SECONDS
from fer_edge.edge.web.jpeg import BOUNDARY, JpegEncoder
from fer_edge.edge.web.metrics import CONTENT_TYPE, RunMetrics
from fer_edge.edge.web.state import RunInfo, SharedState, outdated_notice, status, to_json
from fer_edge.edge.web.static_files import static_files, static_response
from fer_edge.edge.web.viewers import Viewers

EVENT_INTERVAL = 0.1
"""Seconds between two events, at least."""

IDLE_EVENT_INTERVAL = 1.0
"""Seconds after which an event is sent without a new frame, so that the page knows that the server runs."""


NOTICE_INTERVAL = 1.0
"""Seconds without a frame after which a stream shows why there is none, again and again: browsers show a picture of
a stream when the next one begins."""

REPEAT_INTERVAL = 10.0
"""Seconds after which a stream repeats its picture, which shows whether the client, and proxies, are still there."""


class LivePage:
    """The endpoints of one run's live page.

    Args:
        run: The run that is shown.
        mailbox: Its newest frame.
        encoder: Makes the pictures.
    """

    def __init__(self, run: RunInfo, mailbox: FrameMailbox, encoder: JpegEncoder) -> None:
        self._run, self._mailbox, self._encoder = run, mailbox, encoder
        self._viewers = Viewers()
        self._state = SharedState(run, mailbox, self._viewers)
        self._metrics = RunMetrics(run, mailbox, self._viewers)

    def app(self) -> Starlette:
        """The endpoints as an ASGI application."""
        static_files()
        app = Starlette(
            routes=[
                Route("/", self.page),
                Route("/frame.jpg", self.frame),
                Route("/stream.mjpg", self.stream),
                Route("/api/state", self.state),
                Route("/api/history", self.history),
                Route("/api/events", self.events),
                Route("/metrics", self.metrics),
                Route("/healthz", self.health),
                Route("/static/{name}", self.static),
            ]
        )
        app.router.redirect_slashes = False  # its redirects name a host, and not the path where a proxy has the page
        return app

    async def page(self, request: Request) -> Response:
        return static_response("index.html")

    async def static(self, request: Request) -> Response:
        return static_response(request.path_params["name"])

    async def frame(self, request: Request) -> Response:
        """The newest picture, or with `after` the next one after that number; 204 when none comes for 10 s.

        Without `after`, the client has nothing but the picture, which then has to say itself that it is outdated.
        """
        number = request.query_params.get("after", "0")
        if not re.fullmatch("[0-9]{1,18}", number):
            return PlainTextResponse(f"after={number[:40]}: expected a frame number\n", 400)
        self._viewers.record_request(request)
        notice = "" if "after" in request.query_params else outdated_notice(self._run, self._mailbox)
        picture = await (self._encoder.outdated(notice) if notice else self._encoder.after(int(number)))
        if picture is None:
            return Response(status_code=204)
        return Response(picture.jpeg, media_type="image/jpeg", headers={"X-Frame": str(picture.number)})

    async def stream(self, request: Request) -> Response:
        """Motion JPEG, for players and dashboards; a slow client skips pictures instead of falling behind."""

        async def parts() -> AsyncIterator[bytes]:
            number, part, sent_at = 0, b"", 0.0
            with self._viewers.viewing(request):
                while not self._mailbox.closing:
                    picture = await self._encoder.after(number, NOTICE_INTERVAL)
                    if picture is None and (notice := outdated_notice(self._run, self._mailbox)):
                        picture = await self._encoder.outdated(notice)
                    if picture is not None or monotonic() > sent_at + REPEAT_INTERVAL:
                        number, part = (picture.number, picture.part) if picture else (number, part)
                        sent_at = monotonic()
                        yield part
                yield f"--{BOUNDARY}--\r\n".encode()

        return _streamed(request, parts(), f"multipart/x-mixed-replace; boundary={BOUNDARY}")

    async def state(self, request: Request) -> Response:
        return Response(self._state.json(), media_type="application/json")

    async def history(self, request: Request) -> Response:
        """The last minutes, second by second."""
        points = self._mailbox.history.since(-1)
        return JSONResponse({"length": HISTORY_SECONDS, "now": self._mailbox.age(), "points": points})

    async def events(self, request: Request) -> Response:
        """Server-sent events: `state` with new frames, `history` with each second, `stopped` at the end."""

        async def messages() -> AsyncIterator[bytes]:
            number, second, new = 0, -1, True
            with self._viewers.viewing(request):
                yield b"retry: 2000\n\n"
                while not self._mailbox.closing:
                    points = self._mailbox.history.since(second)
                    if points or new:
                        history = {"all": new, "length": HISTORY_SECONDS, "points": points}
                        yield _event(b"history", to_json(history))
                        second, new = points[-1]["second"] if points else -1, False
                    yield _event(b"state", self._state.json())
                    await asyncio.sleep(EVENT_INTERVAL)
                    number = await self._next_number(number)
                yield _event(b"stopped", b"{}")

        return _streamed(request, messages(), "text/event-stream")

    async def _next_number(self, number: int) -> int:
        """The number of the next frame, or the same where none comes; not the frame, lest a slow client keep it."""
        newest = await self._mailbox.after(number, IDLE_EVENT_INTERVAL)
        return newest.number if newest else number

    async def metrics(self, request: Request) -> Response:
        return Response(self._metrics.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def health(self, request: Request) -> Response:
        """200 while frames come and after a file's end; 503 while the source is disconnected or frames are overdue."""
        word = status(self._run, self._mailbox)
        return PlainTextResponse(f"{word}\n", 503 if word in ("disconnected", "waiting") else 200)


def _streamed(request: Request, content: AsyncIterator[bytes], media_type: str) -> Response:
    """A response without an end; `X-Accel-Buffering` makes nginx pass it on as it comes."""
    headers = {"X-Accel-Buffering": "no"}
    if request.scope.get("method") == "HEAD":
        return Response(media_type=media_type, headers=headers)
    return StreamingResponse(content, media_type=media_type, headers=headers)


def _event(name: bytes, json: bytes) -> bytes:
    """One server-sent event, https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    return b"event: %b\ndata: %b\n\n" % (name, json)
