"""What is fuzzed: every reader of something that comes from outside, with real inputs to start from."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import os
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import cv2
import numpy as np
from network_camera import jpegs, moving
from predictions import CLASSES
from training import synthetic_rows

from fer_edge.benchmarks.results_io import record
from fer_edge.edge.cli import main as root
from fer_edge.edge.commands.fleet.client import Message
from fer_edge.edge.commands.fleet.devices import TOPICS, Fleet
from fer_edge.edge.commands.fleet.prometheus import targets
from fer_edge.edge.commands.fleet.settings import SETTINGS
from fer_edge.edge.commands.fleet.text import details, table
from fer_edge.edge.config.example import example_file
from fer_edge.edge.config.tables import check_all
from fer_edge.edge.errors import FerEdgeError, redact
from fer_edge.edge.expression.classifier import open_member
from fer_edge.edge.expression.ensemble_config import read_ensemble
from fer_edge.edge.sinks.mqtt.broker_url import parse_broker_url
from fer_edge.edge.sinks.mqtt.control import Control, StartValue
from fer_edge.edge.sinks.mqtt.payload import device_record, state_record
from fer_edge.edge.sinks.mqtt.setting import Request
from fer_edge.edge.sinks.run_stats import RunStats
from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.tflite.card import card_path, read_card
from fer_edge.edge.tflite.labels import read_labels
from fer_edge.edge.tflite.metadata import read_metadata
from fer_edge.edge.web.listen_address import parse_listen_address
from fer_edge.models import FOLDER
from fer_edge.train.data.loading import load

FRAMES = 12
"""Frames that are read of a video or a stream."""

RESULT = FOLDER.parent / "benchmarks" / "results" / "arm-instructions.json"


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        seeds: Real inputs.
        read: Reads an input; may use the folder. A FerEdgeError refuses it.
        share: Of the cases, in relation to the other targets': what is slow has a smaller one.
    """

    seeds: Callable[[], list[bytes]]
    read: Callable[[bytes, Path], object]
    share: int


def _file(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _take(frames: Iterable[object]) -> None:
    for _ in islice(frames, FRAMES):
        pass


# --- pictures, videos, streams


@cache
def _pictures() -> list[bytes]:
    small = cv2.resize(next(moving(1)), (48, 36))
    gray = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    colours = [suffix for suffix in (".jpg", ".png", ".bmp", ".webp", ".tif", ".ppm") if cv2.haveImageWriter(suffix)]
    colours += [suffix for suffix in (".gif", ".avif", ".jp2") if cv2.haveImageWriter(suffix)]  # not in every build
    pairs = [*((suffix, small) for suffix in colours), (".jpg", gray), (".png", gray), (".pgm", gray)]
    pairs.append((".png", gray.astype(np.uint16) << 8))
    return [cv2.imencode(suffix, picture)[1].tobytes() for suffix, picture in pairs]


def _read_picture(data: bytes, folder: Path) -> None:
    with open_source(source=_file(folder, "case.png", data)) as source:
        _take(source)


@cache
def _videos() -> list[bytes]:
    made = []
    with TemporaryDirectory() as folder:
        for suffix, code in ((".avi", "MJPG"), (".mp4", "mp4v"), (".mkv", "mp4v"), (".avi", "FFVH"), (".webm", "VP80")):
            path = str(Path(folder) / f"clip{suffix}")
            writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), 10.0, (64, 48))
            for picture in moving(6):
                writer.write(cv2.resize(picture, (64, 48)))
            writer.release()
            if os.path.exists(path):
                made.append(Path(path).read_bytes())
    return made


def _read_video(data: bytes, folder: Path) -> None:
    with open_source(source=_file(folder, "case.mp4", data)) as source:
        _take(source)


def _streams() -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=cut\r\n\r\n"
    parts = [
        b"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(j), j) for j in jpegs()[:3]
    ]
    still = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s" % (
        len(jpegs()[0]),
        jpegs()[0],
    )
    return [head + b"".join(parts), head + b"".join(parts) + b"--cut--\r\n", still, b"HTTP/1.1 404 Not Found\r\n\r\n"]


class _OneAnswer:
    """A server on loopback that gives every client the newest answer and closes."""

    def __init__(self) -> None:
        self.answer = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            with client, suppress(OSError):
                client.settimeout(2)
                client.recv(65536)
                client.sendall(self.answer)


@cache
def _answering() -> _OneAnswer:
    return _OneAnswer()


def _read_stream(data: bytes, _: Path) -> None:
    server = _answering()
    server.answer = data
    options = SourceOptions(source=f"http://127.0.0.1:{server.port}/", reconnect_timeout=0, frame_timeout=2)
    with open_source(options) as source:
        _take(source)


# --- data sets


def _csvs() -> list[bytes]:
    rows = "\n".join(["emotion,pixels,Usage", *synthetic_rows(3, "Training", 0), *synthetic_rows(2, "PublicTest", 1)])
    plain = f"{rows}\n".encode()
    named = (
        plain.replace(b"emotion", b"label")
        .replace(b"\n0,", b"\nno,")
        .replace(b"\n1,", b"\nyes,")
        .replace(b"\n2,", b"\n no,")
    )
    return [plain, named, plain.replace(b"\n", b"\r\n"), gzip.compress(plain, mtime=0), lzma.compress(plain)]


def _read_csv(data: bytes, folder: Path) -> None:
    suffix = {b"\x1f\x8b": ".csv.gz", b"\xfd7": ".csv.xz"}.get(data[:2], ".csv")
    path = _file(folder, f"case{suffix}", data)
    for cache_file in folder.glob("*.npz"):
        cache_file.unlink()
    for skip_bad in (False, True):
        load(path, skip_bad=skip_bad)


def _read_cache(data: bytes, folder: Path) -> None:
    csv = folder / "case.csv"
    if not csv.exists():
        csv.write_bytes(_csvs()[0])
    _file(folder, "case.csv.fer-edge.npz", data)
    load(csv)


def _caches() -> list[bytes]:
    with TemporaryDirectory() as folder:
        path = _file(Path(folder), "case.csv", _csvs()[0])
        load(path)
        return [each.read_bytes() for each in Path(folder).glob("*.npz")]


def _read_tree(data: bytes, folder: Path) -> None:
    """A class folder with a picture whose bytes and whose name are the case's."""
    picture = folder / "tree" / "train" / "happy"
    picture.mkdir(parents=True, exist_ok=True)
    for old in picture.iterdir():
        old.unlink()
    name = data[-12:].replace(b"/", b"_").replace(b"\0", b"_")
    with suppress(OSError):
        Path(os.fsdecode(os.fsencode(picture) + b"/" + name + b".png")).write_bytes(data)
    Path(picture / "a.png").write_bytes(_pictures()[2])
    load(folder / "tree", skip_bad=True, classes="fer2013")


# --- models and configuration


def _cards() -> list[bytes]:
    shipped = [path.read_bytes() for path in (*FOLDER.glob("*_int8.json"), FOLDER / "face" / "faces.json")]
    own = {"name": "a", "architecture": "unknown", "sha256": "0", "labels": ["a", "b"], "colour": "rgb"}
    ranges = {"pixel_range": [[-1, 1], [0, 1], [0, 255]], "output": "softmax", "crop_margin": 1.07}
    return [*shipped, json.dumps(own | ranges).encode()]


def _read_card(data: bytes, folder: Path) -> None:
    model = folder / "case.tflite"
    card_path(model).write_bytes(data)
    read_card(model)


def _read_ensemble(data: bytes, folder: Path) -> None:
    read_ensemble(_file(folder, "ensemble.json", data))


def _read_result(data: bytes, folder: Path) -> None:
    record.read(_file(folder, "result.json", data))


@cache
def _models() -> list[bytes]:
    return [(FOLDER / "mobilenet_v2_int8.tflite").read_bytes()]


@cache
def _label_archives() -> list[bytes]:
    """The ends of the shipped models: their zip archives begin after the flatbuffer."""
    return [data[data.rindex(b"PK\x03\x04") :] for data in _models() if b"PK\x03\x04" in data]


PIECE = 4096
"""Bytes of a model that change."""


def _model_pieces() -> list[bytes]:
    """Pieces of the shipped model, each after a byte that says where it lies."""
    return [bytes([place]) + _models()[0][_offset(place) :][:PIECE] for place in (0, 1, 100, 200, 254, 255)]


def _offset(place: int) -> int:
    """Where a piece begins: the first and the last ones hold tables, those in between weights."""
    return place * (len(_models()[0]) - PIECE) // 255


def _read_changed_model(data: bytes, folder: Path) -> None:
    """The shipped model with the case's piece in it, and a card that fits."""
    model, start = bytearray(_models()[0]), _offset(data[0] if data else 0)
    piece = data[1 : PIECE + 1]
    model[start : start + len(piece)] = piece
    path = _file(folder, "case.tflite", bytes(model))
    card = json.loads((FOLDER / "mobilenet_v2_int8.json").read_bytes())
    card_path(path).write_text(json.dumps({**card, "sha256": hashlib.sha256(model).hexdigest()}))
    open_member(path)


def _metadata_pieces() -> list[bytes]:
    """The pieces of the shipped model that hold tables: its own at both ends, and the metadata's."""
    start = _models()[0].rindex(b"M001") - 4
    return [*_model_pieces()[::5], bytes([255]) + _models()[0][start:][:PIECE]]


def _read_metadata(data: bytes, folder: Path) -> None:
    """The shipped model with the case's piece in it; what begins with 255 lies over the metadata."""
    model = bytearray(_models()[0])
    start = model.rindex(b"M001") - 4 if data[:1] == b"\xff" else _offset(data[0] if data else 0)
    model[start : start + PIECE] = data[1 : PIECE + 1].ljust(min(PIECE, len(model) - start), b"\0")
    read_metadata(_file(folder, "case.tflite", bytes(model)))


def _tomls() -> list[bytes]:
    example = example_file(click.Context(root)).encode()
    uncommented = b"\n".join(
        line.removeprefix(b"# ") for line in example.splitlines() if b" = " in line or b"[" in line
    )
    return [example, uncommented, b'[run]\ncamera = "0"\nmqtt = "mqtt://u:p@h/x"\n[service.install]\nname = "a"\n']


def _read_toml(data: bytes, folder: Path) -> None:
    check_all(_file(folder, "fer-edge.toml", data), click.Context(root))


def _addresses() -> list[bytes]:
    lines = (
        "rtsp://user:my pass@host:554/live?token=x",
        "http://[::1]:8080/a.mjpg",
        "mqtts://u@h:1/p/q",
        ":8080",
        "[::]:1",
    )
    return [line.encode() for line in (*lines, "0.0.0.0:8080", "mqtt://user:p%40ss@host/home/cam", "v4l2src ! appsink")]


def _read_address(data: bytes, _: Path) -> None:
    text = data.decode(errors="surrogateescape")
    redact(text)
    for parse in (parse_listen_address, lambda text: parse_broker_url(text, {})):
        with suppress(FerEdgeError):
            parse(text)


# --- network


def _requests() -> list[bytes]:
    head = b"Host: 127.0.0.1\r\nAuthorization: Bearer abcdefgh\r\nCookie: a=b\r\n\r\n"
    paths = (b"/", b"/api/state", b"/metrics", b"/frame.jpg?after=3", b"/static/page.js", b"/health")
    posts = b"POST / HTTP/1.1\r\nContent-Length: 15\r\nTransfer-Encoding: chunked\r\n" + head + b"token=abcdefghi"
    return [*(b"GET " + path + b" HTTP/1.1\r\n" + head for path in paths), posts, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]


@cache
def _page() -> int:
    """The port of a live page in this process."""
    from fer_edge.edge.device.thermal import ThermalMonitor
    from fer_edge.edge.web.sink import WebSink
    from fer_edge.edge.web.state import RunInfo

    picture = TemporaryDirectory()
    path = _file(Path(picture.name), "a.png", _pictures()[2])
    run = RunInfo(open_source(source=path), "ensemble", CLASSES, (), RunStats(), ThermalMonitor(lambda *_: None))
    _KEPT.append(picture)
    sink = WebSink("127.0.0.1:0", "abcdefgh" * 2, run)
    _KEPT.append(sink)
    return int(sink.link.rpartition(":")[2].split("/")[0])


_KEPT: list[object] = []


def _exchange(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        with suppress(OSError):
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        answer = b""
        with suppress(OSError):
            while piece := client.recv(65536):
                answer += piece
    return answer


def _read_request(data: bytes, _: Path) -> None:
    """The page survives a request, and answers the next one."""
    _exchange(_page(), data)
    good = b"GET /api/state HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + b"abcdefgh" * 2
    answer = _exchange(_page(), good + b"\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]


def _packets() -> list[bytes]:
    connected, acknowledged = b"\x20\x02\x00\x00", b"\x40\x02\x00\x01"
    message = b"\x30\x0d\x00\x05x/y/zhello!"
    return [
        connected + acknowledged + message,
        b"\x20\x02\x00\x05",
        connected + b"\xe0\x00",
        connected + b"\xd0\x00" * 3,
    ]


def _read_packets(data: bytes, _: Path) -> None:
    """A broker that sends these bytes."""
    from fer_edge.edge.sinks.mqtt.connection import Connection

    server = _answering()
    server.answer = data
    connection = Connection(parse_broker_url(f"mqtt://127.0.0.1:{server.port}/fuzz", {}), "case", {})
    connection.publish_state({"faces": 0})
    threading.Event().wait(0.01)
    connection.publish_event({"emotion": "happy"})
    connection.close()


# --- a fleet's messages


def _settings() -> list[bytes]:
    return [Request(1.5, "a7").payload(), Request(False).payload(), b'{"value": 4, "id": null}']


def _read_setting(data: bytes, _: Path) -> None:
    """A device takes the message for each of its settings; whatever is in it, a value in range is in effect."""
    control = Control([StartValue(setting, setting.kind(1)) for setting in SETTINGS.values()])
    for key in SETTINGS:
        control.receive(key, data)
    control.process()
    for key, value in control.values.items():
        assert SETTINGS[key].checked(value) == value


def _states() -> list[bytes]:
    device = device_record("cam", "1.2", "ensemble", 64 * "a", "/dev/video0", "http://10.0.0.7:8080/", ["hold"])
    return [json.dumps(record).encode() for record in (device, state_record([], 24.8), {"hold": 1.5})]


def _read_states(data: bytes, _: Path) -> None:
    """An operator reads the message at each of a device's topics, and prints what is in it."""
    fleet = Fleet()
    for topic in TOPICS:
        fleet.update(Message("cam", "device", _states()[0], True))
        fleet.update(Message("cam", topic, data, True))
        for line in (line for device in fleet.devices for line in (*table([device]), *details(device))):
            assert line.isprintable()
        targets(fleet.devices)


TARGETS: dict[str, Target] = {
    "settings": Target(_settings, _read_setting, 200),
    "fleet-states": Target(_states, _read_states, 150),
    "pictures": Target(_pictures, _read_picture, 400),
    "videos": Target(_videos, _read_video, 120),
    "streams": Target(_streams, _read_stream, 8),
    "csv": Target(_csvs, _read_csv, 200),
    "csv-cache": Target(_caches, _read_cache, 100),
    "class-folders": Target(_pictures, _read_tree, 150),
    "cards": Target(_cards, _read_card, 250),
    "ensembles": Target(lambda: [(FOLDER / "ensemble.json").read_bytes()], _read_ensemble, 250),
    "results": Target(lambda: [RESULT.read_bytes()], _read_result, 50),
    "labels": Target(_label_archives, lambda data, folder: read_labels(_file(folder, "a.tflite", data)), 250),
    "metadata": Target(_metadata_pieces, _read_metadata, 40),
    "models": Target(_model_pieces, _read_changed_model, 2),
    "toml": Target(_tomls, _read_toml, 150),
    "addresses": Target(_addresses, _read_address, 250),
    "requests": Target(_requests, _read_request, 60),
    "mqtt": Target(_packets, _read_packets, 2),
}
"""By name; the shares sum to about 2,000, so that 200,000 cases are 100 of each unit."""
