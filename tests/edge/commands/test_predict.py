"""`fer-edge predict` on real pictures with the shipped ensemble."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from predictions import CLASSES
from waiting import LIMIT

from fer_edge.edge.cli import main
from fer_edge.edge.expression.ensemble import open_classifier
from fer_edge.edge.preprocess import shrink, to_gray
from fer_edge.models import FOLDER

PORTRAIT = FOLDER.parent / "benchmarks" / "astronaut.jpg"


PREDICT = (sys.executable, "-m", "fer_edge.edge.cli", "predict")


def predict(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["predict", *map(str, words)])


def records(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """a.png: a face; b.png: a broken picture; c.png: nobody; sub/d.png: out of sight."""
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    portrait = cv2.imread(str(PORTRAIT))
    cv2.imwrite(str(folder / "a.png"), portrait)
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:5000])
    cv2.imwrite(str(folder / "c.png"), np.full((200, 300, 3), 127, np.uint8))
    cv2.imwrite(str(folder / "sub" / "d.png"), portrait)
    return folder


def test_folder_goes_on_after_a_bad_picture(folder: Path) -> None:
    result = predict(folder, "--jsonl", "-")
    assert result.exit_code == 2
    face, bad, empty = records(result)
    assert [Path(r["path"]).name for r in (face, bad, empty)] == ["a.png", "b.png", "c.png"]
    assert set(bad) == {"path", "error"}
    assert "not a whole picture" in bad["error"]
    assert empty == {"path": str(folder / "c.png"), "faces": []}
    (found,) = face["faces"]
    assert list(found) == ["box", "score", "emotion", "scores"]
    assert list(found["scores"]) == list(CLASSES)
    assert sum(found["scores"].values()) == pytest.approx(1, abs=1e-4)
    assert found["emotion"] == max(found["scores"], key=found["scores"].get)
    assert 0 < found["score"] <= 1
    height, width = cv2.imread(str(PORTRAIT)).shape[:2]
    x, y, w, h = found["box"]
    assert x < 0.44 * width < x + w  # her nose
    assert y < 0.24 * height < y + h
    left_out, last = result.stderr.splitlines()
    assert left_out == f"{folder}: left out: 1 sub-folder (--recursive reads them)"
    assert last == "fer-edge: 1 of 3 pictures could not be read"


def test_picture_without_a_face_is_no_error(folder: Path) -> None:
    result = predict(folder / "c.png")
    assert result.exit_code == 0
    assert result.stdout == f"{folder / 'c.png'}: no face\n"


def test_text_is_a_line_a_face(folder: Path) -> None:
    result = predict(folder)
    assert result.exit_code == 2
    first, second = result.stdout.splitlines()
    assert first.startswith(f"{folder / 'a.png'}: ")
    assert any(emotion in first for emotion in CLASSES)
    assert second.endswith("no face")
    assert "b.png" in result.stderr.splitlines()[1]


def test_cropped_face_is_the_whole_picture(folder: Path) -> None:
    """The scores are the classifier's own for the shrunk gray picture: nothing is detected or cut."""
    crop = cv2.imread(str(folder / "a.png"))[20:180, 150:290]
    cv2.imwrite(str(folder / "crop.png"), crop)
    result = predict(folder / "crop.png", "--faces-cropped", "--jsonl", "-")
    assert result.exit_code == 0
    ((face,),) = [record["faces"] for record in records(result)]
    assert face["box"] == [0, 0, 140, 160]
    assert face["score"] == 1.0
    expected = open_classifier("ensemble", 2)(shrink(to_gray(crop))[None])[0]
    assert list(face["scores"].values()) == pytest.approx(expected.tolist(), abs=1e-6)


def test_jsonl_file_and_annotated_pictures(folder: Path, tmp_path: Path) -> None:
    (folder / "b.png").unlink()
    lines, album = tmp_path / "o.jsonl", tmp_path / "new" / "album"
    result = predict(folder, folder / "sub", folder / "a.png", "--jsonl", lines, "--save", album)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert [Path(json.loads(line)["path"]).name for line in lines.read_text().splitlines()] == [
        "a.png",
        "c.png",
        "d.png",
        "a.png",
    ]
    assert sorted(path.name for path in album.iterdir()) == ["a.png", "a_2.png", "c.png", "d.png"]
    original, drawn = cv2.imread(str(folder / "a.png")), cv2.imread(str(album / "a.png"))
    assert original.shape == drawn.shape
    assert (original != drawn).any()


@pytest.mark.faults
@pytest.mark.parametrize("place", [".", "sub/..", "link", "sub", "sub/new/one"])
def test_annotated_pictures_are_not_saved_among_those_that_are_read(folder: Path, tmp_path: Path, place: str) -> None:
    """The next run would read them; a folder below is one that is read with --recursive alone."""
    (tmp_path / "link").symlink_to(folder)
    before = sorted(folder.rglob("*"))
    save = tmp_path / "link" if place == "link" else folder / place
    words = [folder, "--save", save, *(["--recursive"] if place.startswith("sub/n") or place == "sub" else [])]
    result = predict(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith(f"fer-edge: --save: {save} is a folder that is read")
    assert sorted(folder.rglob("*")) == before


@pytest.mark.faults
def test_annotated_pictures_replace_no_others(folder: Path, tmp_path: Path) -> None:
    """Neither originals, nor a picture that was there already, nor one of another original of the same name."""
    names = ["a.jpg", "sub/a.jpg"]
    for name in names:
        (folder / name).write_bytes(PORTRAIT.read_bytes())
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    words = [*(folder / name for name in names), folder / "a.jpg", "--save", folder]
    for _ in range(2):  # a second run replaces what the first one wrote
        assert predict(*words).exit_code == 0
        assert {path: path.read_bytes() for path in before} == before
        assert {*folder.rglob("*.*")} - {*before} == {folder / f"a_{number}.png" for number in (2, 3, 4)}
    assert cv2.imread(str(folder / "a_2.png")).shape == cv2.imread(str(PORTRAIT)).shape


def test_no_original_is_overwritten_with_results(folder: Path) -> None:
    before = (folder / "a.png").read_bytes()
    refused = predict(folder / "a.png", "--jsonl", folder / "a.png")
    assert refused.exit_code == 2
    assert refused.stderr == f"fer-edge: --jsonl: {folder / 'a.png'} is one of the pictures; give another name\n"
    assert (folder / "a.png").read_bytes() == before


@pytest.mark.faults
def test_outputs_are_neither_read_nor_one_file(folder: Path, tmp_path: Path, mistake: Callable[..., str]) -> None:
    model, link = tmp_path / "m.tflite", tmp_path / "link"
    model.write_bytes(b"")
    link.symlink_to(tmp_path)
    (tmp_path / "my.toml").touch()
    (tmp_path / "hard.png").hardlink_to(folder / "a.png")
    words = ("--config", tmp_path / "my.toml", "predict", folder / "a.png", "--model", model)
    for name in ("m.tflite", "m.json", "my.toml", "hard.png"):
        line = mistake(*words, "--jsonl", link / name)
        assert line.startswith(f"fer-edge: --jsonl: {link / name} is ") and line.endswith("; give another name")
    line = mistake("predict", folder / "a.png", "--save", tmp_path / "new", "--jsonl", link / "new")
    assert line.startswith(f"fer-edge: --save: {tmp_path / 'new'} is written by --jsonl too")
    assert not (tmp_path / "new").exists() and model.read_bytes() == b""


def test_addresses(tmp_path: Path) -> None:
    path = tmp_path / "a b.jpg"
    path.write_bytes(PORTRAIT.read_bytes())
    assert [len(each["faces"]) for each in records(predict(f"file://{tmp_path}/a%20b.jpg", "--jsonl", "-"))] == [1]
    result = predict("rtsp://user:secret@camera/1")
    assert result.exit_code == 2 and "secret" not in result.stderr
    assert result.stderr.startswith("fer-edge: rtsp://camera/1 is no file; ")


def test_a_missing_path_is_an_error_and_nothing_else() -> None:
    result = predict("nowhere.png", "--jsonl", "-")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "fer-edge: nowhere.png: no such file or folder\n"


@pytest.mark.faults
@pytest.mark.parametrize("bad", ["nowhere.png", "", "empty", "x" * 300, "loop", "secret"])
@pytest.mark.parametrize("first", [True, False])
def test_a_bad_argument_does_not_cost_the_good_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str, first: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    result = predict(*([bad, PORTRAIT] if first else [PORTRAIT, bad]), "--jsonl", "-")
    assert result.exit_code == 2
    by_path = {record.pop("path"): record for record in records(result)}
    assert list(by_path)[first] == str(PORTRAIT) and len(by_path.pop(str(PORTRAIT))["faces"]) == 1
    ((_, problem),) = by_path.items()
    assert list(problem) == ["error"] and "\n" not in problem["error"]
    assert result.stderr == "fer-edge: 1 of 2 pictures could not be read\n"


@pytest.mark.faults
def test_what_is_left_out_of_a_folder_is_counted(folder: Path) -> None:
    (folder / "b.png").unlink()
    for name in ("a.txt", "clip.MP4", "notes", ".hidden.jpg", "sub/.thumbnails/e.png", "sub/deep/f.JPG", "g"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(PORTRAIT.read_bytes() if name in ("g", "sub/deep/f.JPG") else b"text")
    (folder / "sub" / "deep" / "up").symlink_to(folder)
    result = predict(folder, "--jsonl", "-")
    assert [Path(record["path"]).name for record in records(result)] == ["a.png", "c.png", "g"]
    assert result.exit_code == 0
    assert result.stderr == (
        f"{folder}: left out: 3 files that are no pictures (.txt, .mp4, without suffix), 1 hidden file or folder, "
        "1 sub-folder (--recursive reads them)\n"
    )
    result = predict(folder, "--recursive", "--jsonl", "-")
    assert [Path(record["path"]).relative_to(folder) for record in records(result)] == [
        *map(Path, ("a.png", "c.png", "g", "sub/d.png", "sub/deep/f.JPG"))
    ]
    assert "2 hidden files or folders\n" in result.stderr and "sub-folder" not in result.stderr


def test_json_is_valid_in_any_encoding_of_stdout(tmp_path: Path) -> None:
    path = tmp_path / "é 日本 😀.jpg"
    path.write_bytes(PORTRAIT.read_bytes())
    for encoding in ("latin-1", "ascii", "utf-8"):
        done = subprocess.run(
            [*PREDICT, path, "--faces-cropped", "--jsonl", "-"],
            capture_output=True,
            env=os.environ | {"PYTHONIOENCODING": encoding},
            timeout=LIMIT,
        )
        assert json.loads(done.stdout.decode())["path"] == str(path), done.stderr


@pytest.mark.faults
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    """Each is read and told apart; the results are valid UTF-8, whatever the names are."""
    names = [b"\xff.jpg", b"\xfe.jpg", "ü\n\x1b[2J.jpg".encode(), b"caf\xe9/a.jpg"]
    for name in names:
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(PORTRAIT.read_bytes())
    (tmp_path / os.fsdecode(b"\xfd.png")).touch()
    command = [*PREDICT, os.fsencode(tmp_path), "--recursive", "--save", tmp_path.parent / os.fsdecode(b"album\xff")]
    for output in ("-", os.fsdecode(b"r\xff.jsonl"), None):
        words = [] if output is None else ["--jsonl", output]
        done = subprocess.run([*command, *words], capture_output=True, cwd=tmp_path, timeout=LIMIT)
        assert done.returncode == 2 and b"Traceback" not in done.stderr
        lines = (tmp_path / output).read_bytes() if output == os.fsdecode(b"r\xff.jsonl") else done.stdout
        done.stderr.decode()
        if output is None:
            assert r"/\xff.jpg: happy" in lines.decode() and r"/ü\x0a\x1b[2J.jpg: happy" in lines.decode()
            assert lines.count(b"\n") == 4
            continue
        written = [json.loads(line) for line in lines.decode().splitlines()]
        assert [Path(each["path"]).name for each in written] == [
            *("ü\n\x1b[2J.jpg", r"\xfd.png", r"\xfe.jpg", r"\xff.jpg", "a.jpg")
        ]
        assert r"\xfd.png" in written[1]["error"] and all(each["faces"] for each in written if "error" not in each)
        assert written[-1]["path"].endswith(r"/caf\xe9/a.jpg")
    assert len(list((tmp_path.parent / os.fsdecode(b"album\xff")).iterdir())) == 4


@pytest.mark.parametrize("name", ["--jsonl", "--save"])
def test_output_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = predict(PORTRAIT, name, tmp_path / "file" / "below")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"fer-edge: {tmp_path / 'file' / 'below'} cannot")


def test_no_path_is_a_mistake() -> None:
    assert predict().exit_code == 2


def test_real_process_with_a_closed_pipe(folder: Path) -> None:
    """As in `fer-edge predict … | head -1`, and with OpenCV's and libpng's grumbling about b.png kept short."""
    command = [*PREDICT, str(folder), "--jsonl", "-"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(LIMIT) == 0 or "pictures could not be read" in errors
    assert "Traceback" not in errors
