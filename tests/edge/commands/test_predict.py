"""`fer-edge predict` on real pictures with the shipped ensemble."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from waiting import LIMIT

from fer_edge.edge.cli import main
from fer_edge.edge.expression.ensemble import open_classifier
from fer_edge.edge.preprocess import shrink, to_gray
from fer_edge.edge.types import EMOTIONS
from fer_edge.models import FOLDER

PORTRAIT = FOLDER.parent / "benchmarks" / "astronaut.jpg"


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
    assert list(found["scores"]) == list(EMOTIONS)
    assert sum(found["scores"].values()) == pytest.approx(1, abs=1e-4)
    assert found["emotion"] == max(found["scores"], key=found["scores"].get)
    assert 0 < found["score"] <= 1
    height, width = cv2.imread(str(PORTRAIT)).shape[:2]
    x, y, w, h = found["box"]
    assert x < 0.44 * width < x + w  # her nose
    assert y < 0.24 * height < y + h
    assert result.stderr == "fer-edge: 1 of 3 pictures could not be read\n"


def test_picture_without_a_face_is_no_error(folder: Path) -> None:
    result = predict(folder / "c.png")
    assert result.exit_code == 0
    assert result.stdout == f"{folder / 'c.png'}: no face\n"


def test_text_is_a_line_a_face(folder: Path) -> None:
    result = predict(folder)
    assert result.exit_code == 2
    first, second = result.stdout.splitlines()
    assert first.startswith(f"{folder / 'a.png'}: ")
    assert any(emotion in first for emotion in EMOTIONS)
    assert second.endswith("no face")
    assert "b.png" in result.stderr.splitlines()[0]


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


def test_no_original_is_overwritten(folder: Path) -> None:
    """Neither under its own name, nor under the one that another picture would get."""
    (folder / "b.png").unlink()
    (folder / "a.jpg").write_bytes(PORTRAIT.read_bytes())
    before = {path: path.read_bytes() for path in folder.glob("*.*")}
    assert predict(folder, "--save", folder).exit_code == 0
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in folder.glob("*_*")) == ["a_2.png", "a_3.png", "c_2.png"]
    refused = predict(folder / "a.jpg", "--jsonl", folder / "a.jpg")
    assert refused.exit_code == 2
    assert refused.stderr == f"fer-edge: --jsonl: {folder / 'a.jpg'} is one of the pictures; give another name\n"
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("words", [("nowhere.png",), ("nowhere.png", str(PORTRAIT)), (str(PORTRAIT), "nowhere")])
def test_missing_path_is_an_error_and_nothing_else(words: tuple[str, ...]) -> None:
    result = predict(*words, "--jsonl", "-")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("fer-edge: nowhere")
    assert result.stderr.count("\n") == 1


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
    command = [sys.executable, "-m", "fer_edge.edge.cli", "predict", str(folder), "--jsonl", "-"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(LIMIT) == 0 or "pictures could not be read" in errors
    assert "Traceback" not in errors
