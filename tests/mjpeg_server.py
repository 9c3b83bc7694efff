"""A network camera for the tests: python tests/mjpeg_server.py PORT sends JPEG pictures, 50 a second, until killed."""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np


class Handler(BaseHTTPRequestHandler):
    """multipart/x-mixed-replace, as such cameras send it."""

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=cut")
        self.end_headers()
        try:
            for index in range(1_000_000):
                data = cv2.imencode(".jpg", np.full((120, 160, 3), index % 256, np.uint8))[1].tobytes()
                head = f"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                time.sleep(0.02)
        except OSError:
            pass


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler) as server:
        server.daemon_threads = True
        print("listening", flush=True)
        server.serve_forever()
