"""`fer-edge predict --dask` with a real scheduler and real workers: the bytes of a local run, whoever dies."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner, Result
from dask_processes import busy, parts
from network_camera import PORTRAIT, free_port
from photos import photograph
from scripted_server import ScriptedServer, http, scripted
from waiting import LIMIT, until

from fer_edge.benchmarks.dask_processes import DaskProcesses, kill
from fer_edge.edge.cli import main
from fer_edge.edge.commands.archive import dask_cluster, dask_worker
from fer_edge.edge.commands.archive.dask_worker import Facts, difference
from fer_edge.edge.commands.archive.processor import Settings
from fer_edge.edge.pipeline import PipelineOptions

pytestmark = pytest.mark.slow

PICTURES = 12


def predict(*words: object) -> Result:
    return CliRunner().invoke(main, ["predict", *map(str, words)])


def start(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fer_edge.edge.cli", "predict", *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


class Held:
    """A picture on a server, which counts the requests, and lets the first ones wait for `release`.

    Attributes:
        address: Its address.
        port: Its port.
        requests: Number of requests since `hold`.
    """

    def __init__(self, server: ScriptedServer) -> None:
        self.port, self.address = server.port, f"http://127.0.0.1:{server.port}/held.jpg"
        self.requests, self._number, self._released = 0, 0, threading.Event()

    def hold(self, number: int) -> None:
        self._released.set()
        self.requests, self._number, self._released = 0, number, threading.Event()

    def release(self) -> None:
        self._released.set()

    def answer(self, _: str) -> bytes:
        self.requests += 1
        if self.requests <= self._number:
            self._released.wait(LIMIT)
        return http(PORTRAIT.read_bytes())


@pytest.fixture(scope="module")
def held() -> Iterator[Held]:
    with scripted(lambda head: held.answer(head)) as server:
        held = Held(server)
        yield held
        held.release()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs with one or two faces, and a file that is none."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(PICTURES):
        faces = [(100 + 5 * index, 150, 90), (350, 200, 110)][: 1 + index % 2]
        cv2.imwrite(str(folder / f"{index:02d}.jpg"), photograph(*faces, seed=index))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return folder


@pytest.fixture(scope="module")
def inputs(folder: Path, held: Held) -> list[object]:
    """What all runs read: a picture in the third of five parts is the server's."""
    names = [folder / f"{index:02d}.jpg" for index in range(PICTURES)]
    return [*names[:7], held.address, *names[7:], folder / "broken.jpg", "--part-size", 3]


@pytest.fixture(scope="module")
def local(inputs: list[object], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The parts and the manifest of a run on this machine."""
    folder = tmp_path_factory.mktemp("local") / "here"
    assert predict(*inputs, "--output", folder).exit_code == 2
    assert len(parts(folder)) == 6
    return parts(folder)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    with DaskProcesses(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


def test_the_bytes_of_a_local_run(
    cluster: DaskProcesses, inputs: list[object], local: dict[str, bytes], tmp_path: Path
) -> None:
    cluster.have_workers(2)
    result = predict(*inputs, "--output", tmp_path / "out", "--dask", cluster.address)
    assert result.exit_code == 2
    first, *_, last = result.stderr.splitlines()
    assert first.startswith("dask: 2 workers, 2 threads at tcp://")
    assert last == "fer-edge: 1 of 14 pictures could not be read"
    assert parts(tmp_path / "out") == local


def test_sent_pictures(cluster: DaskProcesses, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They keep their relative names, and the many bytes of a chunk become several tasks."""
    monkeypatch.setattr(dask_cluster, "SENT_BYTES", 20_000)
    monkeypatch.chdir(folder.parent)
    cluster.have_workers(2)
    words = [folder.name, "--part-size", 7, "--format", "csv", "--output"]
    assert predict(*words, tmp_path / "there", "--dask", cluster.address, "--send-pictures").exit_code == 2
    assert predict(*words, tmp_path / "here").exit_code == 2
    assert parts(tmp_path / "there") == parts(tmp_path / "here")
    assert len(parts(tmp_path / "there")) == 3


def test_a_killed_worker_costs_nothing(
    cluster: DaskProcesses, inputs: list[object], held: Held, local: dict[str, bytes], tmp_path: Path
) -> None:
    """It is killed while it works on a chunk; another one does that again."""
    cluster.have_workers(2)
    held.hold(1)
    process = start(*inputs, "--output", tmp_path / "out", "--dask", cluster.address)
    kill(busy(cluster, held.port))
    held.release()
    assert "1 of 14 pictures" in process.communicate(timeout=LIMIT)[1]
    assert held.requests == 2
    assert parts(tmp_path / "out") == local


def test_a_picture_that_kills_its_workers_is_one_error(
    cluster: DaskProcesses, inputs: list[object], held: Held, local: dict[str, bytes], tmp_path: Path
) -> None:
    """Those beside it in its chunk are tried alone, after all others."""
    cluster.have_workers(3)
    cluster.client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
    held.hold(2)
    process = start(*inputs, "--output", tmp_path / "out", "--dask", cluster.address)
    for number in (1, 2):
        until(lambda number=number: held.requests == number)
        kill(busy(cluster, held.port))
    assert "2 of 14 pictures" in process.communicate(timeout=LIMIT)[1]
    cluster.client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 3))
    found = parts(tmp_path / "out")
    changed = found.pop("part-00002.jsonl").decode().splitlines()
    before = local["part-00002.jsonl"].decode().splitlines()
    assert found == {name: content for name, content in local.items() if name != "part-00002.jsonl"}
    assert [changed[0], changed[2]] == [before[0], before[2]]
    assert "every worker that tried it was killed" in json.loads(changed[1])["error"]


def test_no_workers_in_mid_run_and_resume(
    cluster: DaskProcesses, inputs: list[object], held: Held, local: dict[str, bytes], tmp_path: Path
) -> None:
    cluster.have_workers(1)
    held.hold(1)
    words = [*inputs, "--output", tmp_path / "out", "--dask", cluster.address]
    process = start(*words, "--dask-timeout", 1)
    kill(busy(cluster, held.port))
    missing, line = process.communicate(timeout=LIMIT)[1].splitlines()[-2:]
    held.release()
    assert process.returncode == 2
    assert line.startswith("fer-edge: --dask: the scheduler has had no worker for 1 s")
    assert "--resume goes on" in missing
    assert 0 < len(parts(tmp_path / "out", "part-*")) < 5
    cluster.have_workers(1)
    assert "1 of 14 pictures" not in predict(*words).stderr  # without --resume nothing is done
    assert predict(*words, "--resume").exit_code == 2
    assert parts(tmp_path / "out") == local


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "0.0.1"}, "has fer-edge 0"),
        ({"models": (("yunet_int8.tflite", "f" * 64),)}, "has another "),
    ],
)
def test_other_versions_and_models_are_refused(
    cluster: DaskProcesses,
    folder: Path,
    tmp_path: Path,
    change: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster.have_workers(1)
    own = dask_worker.facts_of_this_machine
    monkeypatch.setattr(dask_cluster, "facts_of_this_machine", lambda *given: replace(own(*given), **change))
    result = predict(folder, "--output", tmp_path / "out", "--dask", cluster.address)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"fer-edge: --dask: the worker on {own(SETTINGS).host} {message}")
    assert parts(tmp_path / "out", "part-*") == {}


def test_a_lost_scheduler(cluster: DaskProcesses, inputs: list[object], held: Held, tmp_path: Path) -> None:
    cluster.have_workers(1)
    held.hold(1)
    process = start(*inputs, "--output", tmp_path / "out", "--dask", cluster.address)
    busy(cluster, held.port)
    cluster.disconnect()
    kill(cluster.scheduler)
    lines = process.communicate(timeout=LIMIT)[1].splitlines()
    held.release()
    assert process.returncode == 2
    assert lines[-1] == "fer-edge: --dask: the scheduler was lost, does not answer, or ended the tasks"
    assert "--resume goes on" in lines[-2] and len(lines) == 3
    assert 0 < len(parts(tmp_path / "out", "part-*")) < 5


SETTINGS = Settings(PipelineOptions())
FACTS = dask_worker.facts_of_this_machine(SETTINGS)


@pytest.mark.parametrize(
    ("client", "worker", "message"),
    [
        ({}, {}, None),
        ({"version": "1.0"}, {"version": "1.0+gabc"}, None),
        ({"version": "1.0+gdef"}, {"version": "1.0+gabc"}, "has fer-edge 1.0"),
        ({}, {"models": ()}, "has another model"),
        ({}, {"problem": "nowhere: no such file"}, "cannot read the model: nowhere"),
        ({}, {"unreadable": ("/data/a.jpg",)}, "cannot read /data/a.jpg; share the folder"),
    ],
)
def test_differences(client: dict[str, str], worker: dict[str, str], message: str | None) -> None:
    found = difference(replace(FACTS, **client), replace(FACTS, host="far", **worker))
    assert found == message or (found is not None and found.startswith(f"the worker on far {message}"))


def test_facts_name_what_cannot_be_read(tmp_path: Path) -> None:
    facts = dask_worker.facts_of_this_machine(SETTINGS, [str(PORTRAIT), str(tmp_path / "gone.jpg")])
    assert isinstance(facts, Facts) and facts.unreadable == (str(tmp_path / "gone.jpg"),)
    missing = Settings(PipelineOptions(model=str(tmp_path / "none.tflite")))
    assert "none.tflite" in str(dask_worker.facts_of_this_machine(missing).problem)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:PORT", "no scheduler answers at 127.0.0.1:"),
        ("127.0.0.1", "is no address of a scheduler"),
        ("tls://127.0.0.1:1", "tls:// needs certificates"),
    ],
)
def test_no_scheduler(folder: Path, tmp_path: Path, address: str, message: str) -> None:
    address = address.replace("PORT", str(free_port()))  # here: workers of pytest have to collect the same tests
    result = predict(folder, "--output", tmp_path / "out", "--dask", address, "--dask-timeout", 1)
    assert result.exit_code == 2 and message in result.stderr.splitlines()[-1]


def test_something_else_answers(folder: Path, tmp_path: Path) -> None:
    with scripted(lambda _: server.silence()) as server:
        address = f"127.0.0.1:{server.port}"
        result = predict(folder, "--output", tmp_path / "out", "--dask", address, "--dask-timeout", 1)
    assert "no scheduler answers" in result.stderr.splitlines()[-1]
    again = predict(folder, "--output", tmp_path / "out")  # without --resume: there is nothing to keep
    assert again.stderr.splitlines()[-1] == "fer-edge: 1 of 13 pictures could not be read"


@pytest.mark.parametrize(
    "words",
    [
        ["--dask", "h:1"],
        ["--send-pictures", "--output", "out"],
        ["--dask", "h:1", "--output", "out", "--workers", "2"],
        ["--dask", "h:1", "--output", "out", "--send-pictures", "--every", "1"],
    ],
)
def test_options_that_make_no_sense_together(folder: Path, words: list[str]) -> None:
    result = predict(folder, *words)
    assert result.exit_code == 2 and any(word in result.stderr for word in ("exclude", "give", "sends no"))
