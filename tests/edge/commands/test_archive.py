"""`fer-edge predict` over archives: many inputs, worker processes, parts, shards, and what is killed meanwhile."""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from running import scene
from waiting import LIMIT, default_signal_handlers, until

from fer_edge.edge.cli import main
from fer_edge.edge.commands.archive import workers
from fer_edge.edge.commands.archive.chunks import Shard, cut_chunks, parse_shard
from fer_edge.edge.commands.archive.inputs import Input
from fer_edge.edge.commands.archive.line_prefix import whole_inputs
from fer_edge.edge.commands.archive.path_list import parse_path_list
from fer_edge.edge.errors import ConfigError, valid_text
from fer_edge.edge.sources.sampler import TIME_STEP, Sampler

PREDICT = (sys.executable, "-m", "fer_edge.edge.cli", "predict")
FAST = ("--model", "mobilenet_v2", "--min-face", "60")
PICTURES = 20


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of a face, the last of them without one, and a broken one in a sub-folder."""
    folder = tmp_path_factory.mktemp("archive")
    (folder / "sub").mkdir()
    for number in range(PICTURES - 1):
        cv2.imwrite(str(folder / f"{number:02d}.jpg"), scene(2 * number))
    cv2.imwrite(str(folder / "empty.png"), np.full((200, 300, 3), 127, np.uint8))
    (folder / "sub" / "broken.jpg").write_bytes((folder / "00.jpg").read_bytes()[:1000])
    return folder


def predict(*words: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["predict", *FAST, *map(str, words)], input=stdin)


def start(*words: str | Path) -> subprocess.Popen[str]:
    with default_signal_handlers():
        return subprocess.Popen(
            [*PREDICT, *FAST, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def records(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def processes_of(session: int) -> list[int]:
    """The processes that were started in a session and still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, *fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if int(fields[2]) == session and state != "Z":
            found.append(int(entry.name))
    return found


@pytest.fixture(scope="module")
def alone(archive: Path) -> str:
    """What a single process prints."""
    result = predict(archive, "--recursive", "--jsonl", "-", "--workers", "1")
    assert len(records(result)) == PICTURES + 1 and "error" in records(result)[-1]
    return result.stdout


@pytest.mark.parametrize("size", [1, 4])
def test_workers_give_the_same_bytes_in_the_order_of_the_inputs(archive: Path, alone: str, size: int) -> None:
    result = predict(archive, "--recursive", "--jsonl", "-", "--workers", "2", "--part-size", str(size))
    assert result.exit_code == 2
    assert result.stdout == alone
    line, error = result.stderr.splitlines()
    assert f"{PICTURES} pictures, {PICTURES - 1} faces, 1 errors" in line and "pictures/s" in line
    assert error == f"fer-edge: 1 of {PICTURES + 1} pictures could not be read"


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_the_shards_make_the_parts_of_the_whole(archive: Path, alone: str, tmp_path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow", exc_type=ImportError)  # the oldest NumPy is too old for it
    words = [archive, "--recursive", "--format", form, "--part-size", "3", "--workers", "2", "--output"]
    assert predict(*words, tmp_path / "whole").exit_code == 2
    for shard in ("2/3", "3/3", "1/3"):
        result = predict(*words, tmp_path / "shards", "--shard", shard)
        assert result.exit_code == (2 if shard == "1/3" else 0), result.stderr
    whole = contents(tmp_path / "whole")
    assert contents(tmp_path / "shards") == whole
    assert [*whole] == ["_manifest.json", *(f"part-{number:05d}.{form}" for number in range(7))]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "whole").glob("part*")} == {0o600}
    if form == "jsonl":
        assert b"".join([*whole.values()][1:]).decode() == alone
    else:
        check_table(tmp_path / "whole", form, alone)


def check_table(folder: Path, form: str, alone: str) -> None:
    """A row for each face, or one without a face, with what the JSON has."""
    rows: list[dict[str, Any]] = []
    if form == "csv":
        for part in sorted(folder.glob("part-*")):
            rows += csv.DictReader(part.read_text().splitlines())
    else:
        from pyarrow import parquet

        rows = parquet.read_table(folder).to_pylist()
    expected = [json.loads(line) for line in alone.splitlines()]
    assert [row["path"] for row in rows] == [record["path"] for record in expected]
    for row, record in zip(rows, expected, strict=True):
        assert (row["error"] or None) == record.get("error")
        assert not row["track"] and not row["time"]
        for face in record.get("faces", []):
            assert [int(row[name]) for name in ("face", "x", "y", "width", "height")] == [0, *face["box"]]
            assert row["emotion"] == face["emotion"]
            assert float(row["score"]) == pytest.approx(face["score"])
            assert {name: float(row[name]) for name in face["scores"]} == pytest.approx(face["scores"])
            assert float(row["confidence"]) == pytest.approx(max(face["scores"].values()))
        if not record.get("faces"):
            assert not row["emotion"] and row["face"] in ("", None)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """An input that takes for ever: a pipe whose writer writes nothing."""
    path = tmp_path / "pipe.jpg"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    yield path
    os.close(writer)


def test_a_killed_run_goes_on_without_a_picture_lost_or_twice(archive: Path, pipe: Path, tmp_path: Path) -> None:
    words = [archive, pipe, archive / "00.jpg", "--part-size", "1", "--workers", "2", "--output", tmp_path / "out"]
    process = start(*words)
    until(lambda: process.poll() is not None or [*tmp_path.glob("out/part-*")])
    os.kill(process.pid, signal.SIGKILL)
    process.wait(LIMIT)
    until(lambda: not processes_of(process.pid))
    before = contents(tmp_path / "out")
    assert 1 < len(before) < PICTURES + 3
    done = predict(*words)
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 2) and "--resume" in done.stderr
    assert contents(tmp_path / "out") == before
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/part-*.jsonl")}
    pipe.unlink()
    shutil.copy(archive / "01.jpg", pipe)
    done = predict(*words, "--resume")
    assert done.exit_code == 0 and f"{len(times)} parts are there and kept" in done.stderr
    whole = predict(archive, pipe, archive / "00.jpg", "--jsonl", "-").stdout
    assert b"".join([*contents(tmp_path / "out").values()][1:]).decode() == whole
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_picture_that_kills_its_workers_is_an_error_and_costs_no_other(
    archive: Path, pipe: Path, tmp_path: Path
) -> None:
    """Whichever process reads the pipe is killed."""
    process = start(archive / "00.jpg", pipe, archive / "01.jpg", "--output", tmp_path / "out")
    for _ in range(3):  # the chunk, the chunk again, the picture alone
        os.kill(until(lambda: reader_of(pipe, process)), signal.SIGKILL)
    _, log = process.communicate(timeout=LIMIT)
    assert process.returncode == 2
    assert log.splitlines()[0].startswith("a worker process was killed; ") and "Traceback" not in log
    assert log.splitlines()[-1] == "fer-edge: 1 of 3 pictures could not be read"
    first, killed, last = map(json.loads, (tmp_path / "out" / "part-00000.jsonl").read_text().splitlines())
    assert first["faces"] and last["faces"]
    assert killed["path"] == str(pipe) and "killed" in killed["error"]


def test_workers_that_all_die_end_the_run(
    archive: Path, pipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than every picture becoming an error; nothing is written."""
    monkeypatch.setattr(workers, "MAX_KILLERS", 1)
    words = [pipe, archive / "00.jpg", "--output", tmp_path / "out"]
    results: list[Result] = []
    Thread(target=lambda: results.append(predict(*words)), daemon=True).start()
    for _ in range(3):
        os.kill(until(lambda: reader_of(pipe)), signal.SIGKILL)
    (done,) = until(lambda: results)
    assert done.exit_code == 2 and "killed with each of the first 1 inputs" in done.stderr.splitlines()[-1]
    assert [*contents(tmp_path / "out")] == ["_manifest.json"]


def reader_of(
    pipe: Path,
    process: subprocess.Popen[str] | None = None,
    killed: set[int] = set(),  # noqa: B006
) -> int | None:
    """The process that has a pipe open, each once: of another process, or of this one."""
    assert process is None or process.poll() is None
    for each in {*processes_of(os.getsid(0) if process is None else process.pid)} - {os.getpid()}:
        try:
            opened = [os.readlink(link) for link in Path(f"/proc/{each}/fd").iterdir()]
        except OSError:
            continue
        if each not in killed and str(pipe) in opened:
            killed.add(each)
            return each
    return None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_processes_and_leaves_whole_parts(
    archive: Path, pipe: Path, alone: str, tmp_path: Path, number: int
) -> None:
    """A terminal sends Ctrl-C to all processes, `kill` its signal to one."""
    words = [archive, pipe, "--recursive", "--part-size", "1", "--workers", "2", "--output", tmp_path / "out"]
    process = start(*words)
    until(lambda: process.poll() is not None or [*tmp_path.glob("out/part-*")])
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, log = process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + number
    (line,) = log.splitlines()
    assert "parts are missing; the same command with --resume goes on" in line
    until(lambda: not processes_of(process.pid))
    for path in (tmp_path / "out").glob("part-*"):
        assert path.read_text() == alone.splitlines(keepends=True)[int(path.stem[5:])]


def test_a_full_disk_leaves_no_half_of_a_part(archive: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    done = subprocess.run(
        [*PREDICT, *FAST, archive, "--output", tmp_path / "out", "--part-size", "100", "--workers", "1"],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("part-00000.jsonl cannot be written: File too large")
    assert [*contents(tmp_path / "out")] == ["_manifest.json"]


@pytest.fixture
def results(archive: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder of results that is not to change."""
    folder = tmp_path / "results"
    predict(archive / "00.jpg", archive / "01.jpg", "--output", folder, "--part-size", "1")
    before = contents(folder)
    yield folder
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("words", "difference"),
    [
        (["00.jpg", "01.jpg"], "--resume"),
        (["00.jpg", "01.jpg", "--shard", "1/2"], "--resume"),
        (["00.jpg", "02.jpg", "--resume"], "list of inputs"),
        (["01.jpg", "00.jpg", "--resume"], "list of inputs"),
        (["00.jpg", "--resume"], "inputs"),
        (["00.jpg", "01.jpg", "--resume", "--min-face", "30"], "min_face was 60 and is 30"),
        (["00.jpg", "01.jpg", "--resume", "--model", "efficientnet_b0"], "efficientnet_b0"),
        (["00.jpg", "01.jpg", "--resume", "--faces-cropped"], "faces_cropped"),
        (["00.jpg", "01.jpg", "--resume", "--format", "csv"], "format was jsonl and is csv"),
        (["00.jpg", "01.jpg", "--resume", "--part-size", "2"], "parts"),
    ],
)
def test_results_of_another_run_are_not_added_to(
    archive: Path, results: Path, words: list[str], difference: str
) -> None:
    paths = [str(archive / word) if word.endswith(".jpg") else word for word in words]
    done = predict(*paths, *(() if "--part-size" in words else ("--part-size", "1")), "--output", results)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"fer-edge: --output: {results} ") and difference in line


def test_a_folder_of_something_else_is_refused(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    for words in ([], ["--resume"], ["--shard", "1/2"]):
        done = predict(archive / "00.jpg", "--output", tmp_path, *words)
        assert done.exit_code == 2 and "holds no results" in done.stderr
    assert [*contents(tmp_path)] == ["notes.txt"]


@pytest.mark.parametrize(
    "words",
    [
        ["--null"],
        ["--resume"],
        ["--output", "o", "--jsonl", "-"],
        ["--output", "o", "--save", "s"],
        ["--workers", "2", "--save", "s"],
        ["--every", "1", "--save", "s"],
        ["--shard", "3/2"],
        ["--shard", "0/2"],
        ["--every", "0"],
        ["--from-file", "nowhere"],
    ],
)
def test_what_makes_no_sense_together_is_one_line(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = predict(archive / "00.jpg", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("fer-edge: ") and words[0] in line
    assert not [*tmp_path.iterdir()]


def test_a_few_pictures_do_not_wait_for_what_archives_need(archive: Path) -> None:
    code = (
        "import sys; from fer_edge.edge.cli import main; main(sys.argv[1:], standalone_mode=False); print(*sys.modules)"
    )
    words = [sys.executable, "-c", code, "predict", *FAST, archive / "00.jpg"]
    loaded = subprocess.run(words, capture_output=True, text=True, check=True, timeout=LIMIT).stdout.split()
    assert "fer_edge.edge.commands.predict" in loaded
    heavy = {"multiprocessing", "importlib.metadata", "csv", "subprocess", "tqdm", "pyarrow", "fsspec", "distributed"}
    assert not heavy & {*loaded}


def names(result: Result) -> list[str]:
    return [Path(record["path"]).name for record in records(result)]


def test_patterns(archive: Path, tmp_path: Path) -> None:
    crop = ("--faces-cropped", "--jsonl", "-")
    assert names(predict(f"{archive}/0[0-2].jpg", *crop)) == ["00.jpg", "01.jpg", "02.jpg"]
    found = predict(f"{archive}/**/*[05k]*.jpg", archive / "03.jpg", *crop)
    assert names(found) == [*(f"0{digit}.jpg" for digit in range(10)), "10.jpg", "15.jpg", "broken.jpg", "03.jpg"]
    done = predict(f"{archive}/*.gif", *crop)
    assert (done.exit_code, done.stdout) == (2, "") and "no file matches" in done.stderr
    shutil.copy(archive / "00.jpg", tmp_path / "[0].jpg")
    assert names(predict(tmp_path / "[0].jpg", *crop)) == ["[0].jpg"]


@pytest.mark.parametrize(("end", "words"), [("\n", []), ("\r\n", []), ("\0", ["--null"])])
def test_a_list_from_stdin(archive: Path, tmp_path: Path, end: str, words: list[str]) -> None:
    strange = tmp_path / os.fsdecode(b"a *\xff.jpg")
    shutil.copy(archive / "00.jpg", strange)
    paths = [str(strange), str(archive / "nowhere.jpg"), str(archive / "sub"), "", str(archive / "00.jpg")]
    listed = os.fsencode(end.join(paths) + end)
    result = predict("--from-file", "-", *words, "--faces-cropped", "--jsonl", "-", stdin=listed)
    assert result.exit_code == 2
    assert names(result) == [r"a *\xff.jpg", "nowhere.jpg", "broken.jpg", "00.jpg"]
    assert [list(record)[1] for record in records(result)] == ["faces", "error", "error", "faces"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_videos_are_sampled_and_their_faces_tracked(clip: Path, archive: Path, tmp_path: Path, workers: str) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    shutil.copy(clip, folder / "b.avi")
    shutil.copy(archive / "00.jpg", folder / "a.jpg")
    shutil.copy(archive / "00.jpg", folder / "c.jpg")
    words = [folder, "--jsonl", "-", "--workers", workers]
    left_out = predict(*words)
    assert names(left_out) == ["a.jpg", "c.jpg"] and "1 file that is no picture (.avi)" in left_out.stderr
    result = predict(*words, "--every", "0.5")
    assert result.exit_code == 0, result.stderr
    assert names(result) == ["a.jpg", *["b.avi"] * 4, "c.jpg"]
    _, *moments, _ = records(result)
    assert [(each["frame"], each["time"]) for each in moments] == [(0, 0.0), (5, 0.5), (10, 1.0), (15, 1.5)]
    assert [[face["track"] for face in each["faces"]] for each in moments] == [[1], [1], [1], []]


def test_a_video_without_every_says_what_it_needs(clip: Path) -> None:
    result = predict(clip)
    assert result.exit_code == 2 and "--every SECONDS" in result.stderr


def test_a_video_that_is_cut_off_keeps_what_there_is(clip: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.avi"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    result = predict(cut, "--every", "0.5", "--jsonl", "-")
    assert result.exit_code == 2
    *moments, problem = records(result)
    assert moments and all("faces" in each for each in moments) and "cut off" in problem["error"]


def test_text_has_the_time_in_a_video(clip: Path) -> None:
    lines = predict(clip, "--every", "1").stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"{clip} 0.00 s", f"{clip} 1.00 s"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.85, 1.0])
def test_json_lines_go_on_after_the_last_whole_input(archive: Path, clip: Path, tmp_path: Path, share: float) -> None:
    """A file that is cut off anywhere stands for a killed run."""
    lines = tmp_path / "o.jsonl"
    words = [archive / "00.jpg", clip, archive / "01.jpg", "--every", "0.5", "--jsonl", lines, "--resume"]
    assert predict(*words).exit_code == 0
    whole = lines.read_bytes()
    os.truncate(lines, int(share * len(whole)))
    done = predict(*words)
    assert done.exit_code == 0 and ("are there and kept" in done.stderr) == (share > 0)
    assert lines.read_bytes() == whole
    refused = predict(*words, "--min-face", "30")
    assert refused.exit_code == 2 and "min_face was 60 and is 30" in refused.stderr
    assert lines.read_bytes() == whole
    (tmp_path / "o.jsonl.manifest.json").unlink()
    refused = predict(*words)
    assert refused.exit_code == 2 and "was not begun with --resume" in refused.stderr
    assert lines.read_bytes() == whole


@st.composite
def written_lines(draw: st.DrawFn) -> tuple[list[Input], list[bytes]]:
    """Inputs, some of them given twice, and the lines of each."""
    files: list[tuple[Input, bytes]] = []
    for path in ("a", "é\udcff", "b.mp4", "c.mp4"):
        own: list[dict[str, Any]] = [{"path": valid_text(path), "faces": []}]
        if path.endswith("mp4"):
            frames = sorted(draw(st.sets(st.integers(0, 9), max_size=3)))
            own = [{**own[0], "frame": frame} for frame in frames]
            if not own or draw(st.booleans()):
                own.append({"path": path, "error": "cut off"})
        lines = "".join(json.dumps(record) + "\n" for record in own).encode()
        files.append((Input(path, "video" if path.endswith("mp4") else "picture"), lines))
    chosen = draw(st.lists(st.sampled_from(files), max_size=8))
    return [each for each, _ in chosen], [lines for _, lines in chosen]


@given(written_lines(), st.floats(0, 1))
def test_what_is_kept_of_lines_is_some_whole_inputs(written: tuple[list[Input], list[bytes]], share: float) -> None:
    """And all that are surely whole: all but one video, whose next picture may be missing."""
    inputs, lines = written
    content = b"".join(lines)
    cut = content[: round(share * len(content))]
    done, kept = whole_inputs(cut.splitlines(keepends=True), inputs)
    assert len(b"".join(lines[:done])) == kept <= len(cut)
    certain = [number for number in range(len(lines) + 1) if len(b"".join(lines[:number])) <= len(cut)][-1]
    unsure = certain > 0 and inputs[certain - 1].kind == "video" and b"error" not in lines[certain - 1]
    assert done in ((certain - 1, certain) if unsure else (certain,))


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"path": 1}', '{"path": "b"}', '{"path": "a", "frame": "x"}'])
def test_lines_of_something_else_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        whole_inputs([f"{line}\n".encode()], [Input("a")])
    with pytest.raises(ValueError, match="more lines than there are inputs, from line 2"):
        whole_inputs([b'{"path": "a"}\n'] * 2, [Input("a")])


INPUTS = st.lists(st.sampled_from(["picture", "video"]), max_size=40).map(
    lambda kinds: [Input(f"{number}", kind) for number, kind in enumerate(kinds)]  # type: ignore[arg-type]
)


@given(INPUTS, st.none() | st.integers(1, 12), st.integers(1, 12))
def test_every_input_is_in_one_chunk_of_one_shard(inputs: list[Input], size: int | None, count: int) -> None:
    chunks = cut_chunks(inputs, size)
    assert [each for chunk in chunks for each in chunk.inputs] == inputs
    assert [chunk.index for chunk in chunks] == [*range(len(chunks))]
    for chunk in chunks:
        assert len(chunk.inputs) == 1 or {each.kind for each in chunk.inputs} == {"picture"}
        assert 1 <= len(chunk.inputs) <= (size or 8)
    shards = [Shard(number, count).of(chunks) for number in range(1, count + 1)]
    assert sorted(chunk.index for shard in shards for chunk in shard) == [*range(len(chunks))]
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@given(st.integers(-1, 20), st.integers(-1, 20), st.sampled_from("/,- "))
def test_a_shard_is_read_or_refused(number: int, count: int, between: str) -> None:
    text = f"{number}{between}{count}"
    if between == "/" and 1 <= number <= count:
        assert parse_shard(text) == Shard(number, count)
    else:
        with pytest.raises(ConfigError, match="expected I/N"):
            parse_shard(text)


@given(st.text(max_size=8))
def test_any_text_for_a_shard_is_read_or_refused(text: str) -> None:
    with suppress(ConfigError):
        assert parse_shard(text).number


NAMES = st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name)


@given(st.lists(NAMES))
def test_any_names_come_through_a_list_with_zero_bytes(listed: list[bytes]) -> None:
    content = b"".join(name + b"\0" for name in listed)
    assert [os.fsencode(path) for path in parse_path_list(content, null=True)] == listed
    assert parse_path_list(content.removesuffix(b"\0"), null=True) == parse_path_list(content, null=True)


@given(st.lists(NAMES.filter(lambda name: b"\n" not in name and b"\r" not in name and name.strip())))
def test_names_come_through_a_list_of_lines(listed: list[bytes]) -> None:
    for end in (b"\n", b"\r\n", b"\n\n"):
        content = b"\xef\xbb\xbf" + end.join(listed)
        assert [os.fsencode(path) for path in parse_path_list(content)] == listed


@given(st.floats(0, 100), st.lists(st.floats(0.001, 3), max_size=60), st.just(0.0) | st.floats(0.01, 5))
def test_there_is_one_frame_for_each_interval_that_has_any(start: float, gaps: list[float], interval: float) -> None:
    times = np.cumsum([start, *gaps]).tolist()
    sampler = Sampler(interval)
    taken = [time for time in times if sampler.takes(time)]
    if not interval:
        assert taken == times
        return
    slots = [int((time - start + TIME_STEP) / interval) for time in times]
    assert taken == [times[slots.index(slot)] for slot in sorted(set(slots))]


def test_an_empty_list_is_one_line(tmp_path: Path, mistake: Callable[..., str]) -> None:
    (tmp_path / "list.txt").write_text("\n")
    assert "is empty" in mistake("predict", "--from-file", tmp_path / "list.txt", "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()
