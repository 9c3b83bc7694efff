"""A reverse proxy that shows a server's pages below a path, as nginx does with `location /cam/ { proxy_pass …/; }`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "host")


@contextmanager
def prefix_proxy(url: str, prefix: str = "/cam/", **added: str) -> Iterator[str]:
    """The address of `url` behind a proxy, which adds headers to each request: `X_Forwarded_Proto="https"`."""
    upstream = urlsplit(url).netloc
    headers = {name.replace("_", "-"): value for name, value in added.items()}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            if not self.path.startswith(prefix):
                self.send_error(404, "not below the prefix")
                return
            connection = HTTPConnection(upstream)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or None
            kept = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            connection.request(self.command, self.path[len(prefix) - 1 :], body, kept | headers)
            answer = connection.getresponse()
            with suppress(OSError, HTTPException):  # one of the two may leave
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.end_headers()
                while data := answer.read1(65536):
                    self.wfile.write(data)
                    self.wfile.flush()
            connection.close()

        do_POST = do_GET

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}{prefix}"
        server.shutdown()
        server.block_on_close = False
