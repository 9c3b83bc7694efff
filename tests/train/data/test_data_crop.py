"""`fer-edge data crop`: real photographs with known faces, the real detector, real interrupts and full disks."""

from __future__ import annotations

import csv
import os
import resource
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from photos import jpeg, photograph, write
from waiting import LIMIT, default_signal_handlers, until

from fer_edge.edge.cli import main
from fer_edge.edge.errors import DataError
from fer_edge.edge.faces.crop import face_crop
from fer_edge.edge.faces.detector import open_detector
from fer_edge.edge.preprocess import shrink, to_gray
from fer_edge.edge.sources.pictures import read_picture
from fer_edge.edge.types import Frame
from fer_edge.train.data.contact_sheets import FONT, PICTURE, SCALE, caption
from fer_edge.train.data.crop_journal import CropJournal
from fer_edge.train.data.face_crops import clean_stem
from fer_edge.train.data.loading import load

CROP = (sys.executable, "-m", "fer_edge.edge.cli", "data", "crop")
SETTINGS = {"crop": True, "size": 48}


def crop(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["data", "crop", *map(str, words)])


def crops(folder: Path) -> list[str]:
    """The crops below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))


def left_out(folder: Path) -> dict[str, str]:
    """The reason for each file in the list, by its name."""
    with (folder / "left-out.csv").open(newline="") as file:
        return {Path(row["photo"]).name: row["reason"] for row in csv.DictReader(file)}


def error_of(result: Result) -> str:
    """The one line of an error that the user can fix."""
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("fer-edge: ")]
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """train/awake: one face, the same lying on its side, two faces; train/drowsy: one face, nobody, and no pictures."""
    root = tmp_path / "photos"
    one = photograph((200, 170, 120))
    write(root / "train" / "awake" / "one.jpg", jpeg(one))
    write(root / "train" / "awake" / "rotated.jpg", jpeg(np.rot90(one).copy(), orientation=6))
    write(root / "train" / "awake" / "two.jpg", jpeg(photograph((120, 170, 90), (340, 170, 130))))
    write(root / "train" / "drowsy" / "one.jpg", jpeg(photograph((220, 190, 140), seed=3)))
    write(root / "train" / "drowsy" / "nobody.jpg", jpeg(photograph()))
    write(root / "train" / "drowsy" / "cut.jpg", jpeg(one)[:4000])
    write(root / "train" / "drowsy" / "notes.txt", b"good light")
    write(root / "train" / "drowsy" / ".DS_Store", b"")
    write(root / "loose.jpg", jpeg(one))
    return root


def test_crops_are_those_of_the_runtime_in_the_same_folders(photos: Path, tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    result = crop(photos, faces)
    assert result.exit_code == 0, result.output
    assert crops(faces) == [f"train/{name}.png" for name in ("awake/one", "awake/rotated", "awake/two", "drowsy/one")]
    assert left_out(faces) == {
        "two.jpg": "smaller faces",
        "nobody.jpg": "no face",
        "cut.jpg": "unreadable",
        "notes.txt": "no picture",
        ".DS_Store": "hidden",
        "loose.jpg": "outside class folders",
    }
    for name in ("train/awake/one", "train/awake/two"):
        frame = Frame(read_picture(photos / f"{name}.jpg"))
        expected = face_crop(frame, open_detector().detect(frame)[0])
        stored = cv2.imread(str(faces / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert stored.shape == (48, 48) and (stored == expected).all()
    upright, rotated = (cv2.imread(str(faces / "train" / "awake" / f"{name}.png"), 0) for name in ("one", "rotated"))
    assert np.corrcoef(upright.ravel(), rotated.ravel())[0, 1] > 0.99  # the blocks of the JPEGs lie otherwise
    assert [line.split() for line in result.stdout.splitlines()[1:3]] == [
        ["train/awake", "3", "3"],
        ["train/drowsy", "3", "1"],
    ]


def test_only_the_owner_can_see_the_faces(photos: Path, tmp_path: Path) -> None:
    faces = tmp_path / "new" / "faces"
    assert crop(photos, faces).exit_code == 0
    for path in (faces, *faces.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_tensorflow_and_keras_are_not_needed(photos: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['tensorflow', 'keras', 'matplotlib', 'h5py']));"
        "from fer_edge.edge.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "data", "crop", photos, tmp_path / "faces"]
    assert subprocess.run(command, capture_output=True, timeout=LIMIT).returncode == 0


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ("largest", ["one.png", "rotated.png", "two.png"]),
        ("one", ["one.png", "rotated.png"]),
        ("all", ["one-1.png", "rotated-1.png", "two-1.png", "two-2.png"]),
    ],
)
def test_faces_of_a_photograph(photos: Path, tmp_path: Path, which: str, expected: list[str]) -> None:
    assert crop(photos / "train", tmp_path / "faces", "--faces", which).exit_code == 0
    assert crops(tmp_path / "faces" / "awake") == expected


def test_a_second_face_that_is_almost_as_large_is_reported(tmp_path: Path) -> None:
    write(tmp_path / "photos" / "awake" / "a.jpg", jpeg(photograph((120, 170, 118), (340, 170, 122))))
    result = crop(tmp_path / "photos", tmp_path / "faces")
    assert "1 photograph" in result.stderr and "like size" in result.stderr


def test_small_faces_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "photos" / "awake" / "large.jpg", jpeg(photograph((240, 180, 150))))
    write(tmp_path / "photos" / "awake" / "small.jpg", jpeg(photograph((240, 180, 60))))
    assert crop(tmp_path / "photos", tmp_path / "faces", "--size", "200").exit_code == 0
    assert crops(tmp_path / "faces") == ["awake/large.png"]
    assert left_out(tmp_path / "faces") == {"small.jpg": "face too small"}
    assert crop(tmp_path / "photos", tmp_path / "more", "--size", "200", "--min-face", "40").exit_code == 0
    assert crops(tmp_path / "more") == ["awake/large.png", "awake/small.png"]


def test_larger_crops_in_colour(photos: Path, tmp_path: Path) -> None:
    assert crop(photos, tmp_path / "faces", "--size", "96", "--colour").exit_code == 0
    stored = cv2.imread(str(tmp_path / "faces" / "train" / "awake" / "one.png"), cv2.IMREAD_UNCHANGED)
    assert stored.shape == (96, 96, 3)
    assert crop(photos, tmp_path / "gray").exit_code == 0
    gray = cv2.imread(str(tmp_path / "gray" / "train" / "awake" / "one.png"), 0)
    assert cv2.absdiff(shrink(to_gray(stored)), gray).mean() < 2  # gray levels


def test_pictures_that_are_faces_already_are_converted_as_training_reads_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, shape in (("happy/a", (48, 48)), ("happy/b", (100, 90, 3)), ("sad/a", (60, 200, 3)), ("sad/b", (20, 20))):
        pixels = cv2.imencode(".png", rng.integers(0, 256, shape, np.uint8))[1].tobytes()
        write(tmp_path / "photos" / "train" / f"{name}.png", pixels)
    result = crop(tmp_path / "photos", tmp_path / "faces", "--no-crop")
    assert result.exit_code == 0 and "1 pictures are far from square" in result.stderr
    assert left_out(tmp_path / "faces") == {"b.png": "face too small"}
    expected, got = (load(tmp_path / name).splits["train"].faces for name in ("photos", "faces"))
    assert (got == expected[:3]).all()


def test_flat_folders_of_one_class_each(photos: Path, tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    for name in ("awake", "drowsy"):
        assert crop(photos / "train" / name, faces, "--class", name).exit_code == 0
    assert crops(faces) == ["awake/one.png", "awake/rotated.png", "awake/two.png", "drowsy/one.png"]
    assert {"two.jpg", "nobody.jpg"} <= left_out(faces).keys()  # of both
    assert "--class" in error_of(crop(photos / "train", faces, "--class", "awake"))


def test_what_is_cropped_is_what_training_reads(photos: Path, tmp_path: Path) -> None:
    write(photos / "train" / "awake" / "anna" / "day 1" / "01.jpg", jpeg(photograph((210, 170, 130), seed=4)))
    assert crop(photos, tmp_path / "faces").exit_code == 0
    assert "train/awake/anna_day 1_01.png" in crops(tmp_path / "faces")
    dataset = load(tmp_path / "faces")
    assert dataset.classes == ("awake", "drowsy")
    assert dataset.splits["train"].counts().tolist() == [4, 1]
    assert not dataset.left_out  # lists and contact sheets are expected there
    write(tmp_path / "more" / "sleepy" / "a.jpg", jpeg(photograph((210, 170, 130), seed=4)))
    assert "train" in error_of(crop(tmp_path / "more", tmp_path / "faces"))  # its crops would not be read


def test_pictures_without_a_split_may_be_given_one(photos: Path, tmp_path: Path) -> None:
    for words in (["train", "--split", "train"], ["train/drowsy", "--class", "drowsy", "--split", "val"]):
        assert crop(photos / words[0], tmp_path / "faces", *words[1:]).exit_code == 0
    assert crops(tmp_path / "faces")[-2:] == ["train/drowsy/one.png", "val/drowsy/one.png"]
    assert "--split" in error_of(crop(photos, tmp_path / "faces", "--split", "val"))


# running again


def test_running_again_goes_on(photos: Path, tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    assert crop(photos, faces).exit_code == 0
    before = {name: (faces / name).stat().st_mtime_ns for name in crops(faces)}
    (faces / "train/awake/two.png").unlink()
    write(photos / "train/drowsy/new.jpg", jpeg(photograph((200, 150, 110), seed=5)))
    write(photos / "train/drowsy/again.jpg", (photos / "train/drowsy/one.jpg").read_bytes())
    write(photos / "train/drowsy/one.png", cv2.imencode(".png", photograph((180, 160, 130)))[1].tobytes())
    write(photos / "train/drowsy/cut.jpg", jpeg(photograph((200, 170, 120))))  # mended
    result = crop(photos, faces)
    assert result.exit_code == 0 and "1 crops were deleted" in result.stderr
    after = set(crops(faces))
    assert after - before.keys() == {f"train/drowsy/{name}.png" for name in ("new", "cut", "one_2")}
    assert before.keys() - after == {"train/awake/two.png"}
    assert all((faces / name).stat().st_mtime_ns == before[name] for name in after & before.keys())
    assert left_out(faces)["again.jpg"] == "same file"


def test_a_photograph_that_was_replaced_is_cropped_again(tmp_path: Path) -> None:
    photo, faces = tmp_path / "photos" / "awake" / "a.jpg", tmp_path / "faces"
    write(photo, jpeg(photograph((120, 170, 100), (340, 170, 130))))
    assert crop(tmp_path / "photos", faces, "--faces", "all").exit_code == 0
    write(photo, jpeg(photograph((240, 180, 140), seed=1)))
    assert crop(tmp_path / "photos", faces, "--faces", "all").exit_code == 0
    assert crops(faces) == ["awake/a-1.png"]


def test_photographs_that_were_moved_are_not_cropped_twice(photos: Path, tmp_path: Path) -> None:
    assert crop(photos, tmp_path / "faces").exit_code == 0
    before = crops(tmp_path / "faces")
    photos.rename(tmp_path / "elsewhere")
    assert crop(tmp_path / "elsewhere", tmp_path / "faces").exit_code == 0
    assert crops(tmp_path / "faces") == before


def test_photographs_of_one_name_from_two_trees(photos: Path, tmp_path: Path) -> None:
    write(tmp_path / "more" / "train" / "awake" / "one.jpg", jpeg(photograph((200, 170, 110), seed=7)))
    for root in (photos, tmp_path / "more"):
        assert crop(root, tmp_path / "faces").exit_code == 0
    assert {"one.png", "one_2.png"} < set(crops(tmp_path / "faces" / "train" / "awake"))


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_leaves_whole_crops_and_the_next_run_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    photos, faces = tmp_path / "photos", tmp_path / "faces"
    for index in range(60):
        write(photos / "awake" / f"{index}.jpg", jpeg(photograph((200 + index, 170, 100 + index), seed=index)))
    with default_signal_handlers():
        process = subprocess.Popen([*CROP, photos, faces], stderr=subprocess.PIPE, text=True)
    until(lambda: process.poll() is not None or len(crops(faces)) >= 5)
    process.send_signal(number)
    errors = process.communicate(timeout=LIMIT)[1]
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), errors
    assert "Traceback" not in errors
    assert all(cv2.imread(str(faces / name)) is not None for name in crops(faces))
    assert crop(photos, faces).exit_code == 0
    assert crops(faces) == sorted(f"awake/{index}.png" for index in range(60))
    assert not list(faces.rglob(".*"))


@pytest.mark.faults
@pytest.mark.parametrize("limit", [300, 1500, 4000])
def test_a_full_disk_is_one_line_and_the_next_run_goes_on(photos: Path, tmp_path: Path, limit: int) -> None:
    faces = tmp_path / "faces"
    limited = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
    done = subprocess.run([*CROP, photos, faces], capture_output=True, text=True, preexec_fn=limited, timeout=LIMIT)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].endswith("cannot be written: File too large")
    assert all(cv2.imread(str(faces / name)) is not None for name in crops(faces))
    assert crop(photos, faces).exit_code == 0
    assert len(crops(faces)) == 4


# what cannot be


def test_nested_folders_are_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(photos)
    for faces in (photos, photos / "faces", tmp_path / "link" / "train", tmp_path):
        assert "folder" in error_of(crop(photos, faces))
    assert not list(photos.rglob("*.png"))


def test_errors_say_what_to_do_and_leave_nothing(photos: Path, tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    (tmp_path / "empty").mkdir()
    flat = photos / "train" / "awake"
    assert "no such folder" in error_of(crop(tmp_path / "nowhere", faces))
    assert "is a file" in error_of(crop(photos / "loose.jpg", faces))
    assert "holds no pictures" in error_of(crop(tmp_path / "empty", faces))
    assert "--class" in error_of(crop(flat, faces))
    for name in ("train", "a/b", ".", "", " x"):
        assert "class" in error_of(crop(flat, faces, "--class", name))
    for path in flat.iterdir():
        write(path, jpeg(photograph()))
    assert "no face" in error_of(crop(flat, faces, "--class", "awake"))
    assert not faces.exists()


def test_a_folder_with_other_things_is_left_alone(photos: Path, tmp_path: Path) -> None:
    write(tmp_path / "faces" / "letter.txt", b"dear")
    assert "neither" in error_of(crop(photos, tmp_path / "faces"))
    write(tmp_path / "other" / "crops.jsonl", b"{}\n")
    assert "crops.jsonl" in error_of(crop(photos, tmp_path / "other"))
    assert crops(tmp_path) == []


def test_crops_made_otherwise_are_not_mixed(photos: Path, tmp_path: Path) -> None:
    assert crop(photos, tmp_path / "faces").exit_code == 0
    for words in (["--size", "96"], ["--colour"], ["--no-crop"], ["--faces", "all"], ["--min-face", "100"]):
        assert words[0] in error_of(crop(photos, tmp_path / "faces", *words))


def test_two_runs_at_a_time_are_refused(photos: Path, tmp_path: Path) -> None:
    with CropJournal(tmp_path / "faces", SETTINGS):
        assert "in use" in error_of(crop(photos, tmp_path / "faces"))


@given(st.binary(max_size=200))
def test_a_damaged_journal_is_one_error(tmp_path_factory: pytest.TempPathFactory, line: bytes) -> None:
    faces = tmp_path_factory.mktemp("faces")
    with CropJournal(faces, SETTINGS):
        pass
    with (faces / "crops.jsonl").open("ab") as file:
        file.write(line + b"\n")
    problem = "crops.jsonl:"
    try:
        with CropJournal(faces, SETTINGS) as journal:
            assert not journal.entries
    except DataError as error:
        problem = str(error)
    assert "crops.jsonl:" in problem


# contact sheets


def test_contact_sheets_show_every_crop(photos: Path, tmp_path: Path) -> None:
    faces, root = tmp_path / "faces", tmp_path / "many"
    picture = cv2.imread(str(photos / "train" / "awake" / "one.jpg"))[100:240, 130:270]
    for index in range(90):
        name = "many-2/a" if index == 0 else f"many/{index}"
        write(root / f"{name}.png", cv2.imencode(".png", picture - index)[1].tobytes())
    assert crop(root, faces, "--no-crop").exit_code == 0
    pages = {path.name: cv2.imread(str(path)).shape for path in faces.glob("contact-*.jpg")}
    assert pages.keys() == {"contact-many.jpg", "contact-many-2.jpg", "contact-many-2-2.jpg"}
    assert len({width for _, width, _ in pages.values()}) == 1
    assert pages["contact-many.jpg"][0] > pages["contact-many-2.jpg"][0]  # eight rows, and the ninth
    for path in list((faces / "many").iterdir())[:30]:
        path.unlink()
    own = write(faces / "contact-mine.jpg", b"mine")
    assert crop(root, faces, "--no-crop").exit_code == 0
    assert {path.name for path in faces.glob("contact-*.jpg")} == {own.name, "contact-many.jpg", "contact-many-2.jpg"}
    assert own.read_bytes() == b"mine"


@given(st.text(min_size=1, max_size=300))
def test_names_fit_under_their_pictures_and_into_file_systems(name: str) -> None:
    lines = caption(name)
    assert 1 <= len(lines) <= 2
    assert all(cv2.getTextSize(line, FONT, SCALE, 1)[0][0] <= PICTURE for line in lines)
    stem = clean_stem(name)
    assert stem.isprintable() and len(os.fsencode(f"{stem}_1000-10.png")) <= 255
