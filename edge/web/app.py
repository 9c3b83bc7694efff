"""What is answered: the page, its picture, its events, and what machines read."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from fer_edge.edge.web.frame_mailbox import FrameMailbox
from fer_edge.edge.web.history import SECONDS
from fer_edge.edge.web.jpeg import JpegEncoder
from fer_edge.edge.web.metrics import CONTENT_TYPE, metrics
from fer_edge.edge.web.state import RunInfo, state, status
from fer_edge.edge.web.static_files import STATIC
from fer_edge.edge.web.viewers import Viewers

EVENT_SECONDS = 0.1
"""From one event to the next, at least."""

QUIET_SECONDS = 1.0
"""After which an event comes though no frame does, so that the page knows that somebody is there."""

CUT = "fer-edge-frame"


class PageApp:
    """The routes over one run."""

    def __init__(self, run: RunInfo, live: FrameMailbox, pictures: JpegEncoder) -> None:
        self._run, self._live, self._pictures = run, live, pictures
        self._viewers = Viewers()

    def app(self) -> Starlette:
        """The routes as an ASGI application."""
        return Starlette(
            routes=[
                Route("/", self.page),
                Route("/frame.jpg", self.frame),
                Route("/stream.mjpg", self.stream),
                Route("/api/state", self.state),
                Route("/api/history", self.history),
                Route("/api/events", self.events),
                Route("/metrics", self.metrics),
                Route("/healthz", self.health),
                Mount("/static", StaticFiles(directory=STATIC)),
            ]
        )

    async def page(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def frame(self, request: Request) -> Response:
        """The newest picture, or the first one after that which `after` numbers; 204 when none comes for 10 s."""
        number = request.query_params.get("after", "0")
        if not re.fullmatch("[0-9]{1,18}", number):
            return PlainTextResponse(f"after={number[:40]}: expected a frame's number\n", 400)
        self._viewers.asked(request)
        picture = await self._pictures.after(int(number))
        if picture is None:
            return Response(status_code=204)
        return Response(picture.jpeg, media_type="image/jpeg", headers={"X-Frame": str(picture.number)})

    async def stream(self, request: Request) -> Response:
        """Motion JPEG, for programs that know no better. Each viewer gets the newest picture when it has room."""

        async def parts() -> AsyncIterator[bytes]:
            number = 0
            with self._viewers.looking(request):
                while not self._live.closing:
                    picture = await self._pictures.after(number)
                    if picture is not None:
                        number = picture.number
                        head = f"--{CUT}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n\r\n"
                        yield head.encode() + picture.jpeg + b"\r\n"
                yield f"--{CUT}--\r\n".encode()

        return StreamingResponse(parts(), media_type=f"multipart/x-mixed-replace; boundary={CUT}")

    async def state(self, request: Request) -> Response:
        return JSONResponse(self._state())

    async def history(self, request: Request) -> Response:
        """The last minutes, second by second."""
        return JSONResponse({"length": SECONDS, "now": self._live.age(), "points": self._live.history.since(-1)})

    async def events(self, request: Request) -> Response:
        """`state` whenever it changes, `history` with what is new, and `stopped` at the end."""

        async def told() -> AsyncIterator[str]:
            number, second = 0, -1
            with self._viewers.looking(request):
                yield "retry: 2000\n\n"
                while not self._live.closing:
                    points = self._live.history.since(second)
                    if points or second == -1:
                        yield _event("history", {"all": second == -1, "length": SECONDS, "points": points})
                        second = points[-1]["second"] if points else 0
                    yield _event("state", self._state())
                    await asyncio.sleep(EVENT_SECONDS)
                    shown = await self._live.after(number, QUIET_SECONDS)
                    number = shown.number if shown else number
                yield _event("stopped", {})

        return StreamingResponse(told(), media_type="text/event-stream")

    async def metrics(self, request: Request) -> Response:
        return Response(metrics(self._run, self._live, self._viewers.count()), headers={"Content-Type": CONTENT_TYPE})

    async def health(self, request: Request) -> Response:
        """200 while frames come or after the source's proper end, 503 when it is away or none has come for too long."""
        said = status(self._run, self._live)
        return PlainTextResponse(f"{said}\n", 503 if said in ("away", "waiting") else 200)

    def _state(self) -> dict[str, Any]:
        return state(self._run, self._live, self._viewers.count())


def _event(name: str, value: dict[str, Any]) -> str:
    """One server-sent event, https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    return f"event: {name}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n"
