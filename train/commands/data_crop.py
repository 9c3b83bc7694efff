"""`fer-edge data crop`: face crops of photographs in class folders, as a data set."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import click

from fer_edge.edge.commands.exclusive_options import one_acceleration
from fer_edge.edge.commands.prefetch import Prefetch
from fer_edge.edge.config.click_options import Option, options_from
from fer_edge.edge.errors import DataError, printable
from fer_edge.edge.faces.detector import Detector, open_detector
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.sources.capture import quiet_opencv
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.terminal import progress_bar
from fer_edge.train.data.contact_sheets import PREFIX, write_contact_sheets
from fer_edge.train.data.crop_journal import JOURNAL, CropEntry, CropJournal, left_out_entry, printable_path
from fer_edge.train.data.face_crops import (
    SIMILAR,
    UNREADABLE,
    CropOptions,
    PhotoCropper,
    PhotoOptions,
    load_photograph,
)
from fer_edge.train.data.photo_tree import Photograph, PhotoTree, check_class, check_layout, find_photographs, listed
from fer_edge.train.data.splits import SPLITS

log = logging.getLogger(__name__)


@click.command()
@click.argument("photos", type=click.Path(path_type=Path))
@click.argument("folder", metavar="FACES", type=click.Path(path_type=Path))
@click.option("--class", "class_name", metavar="NAME", cls=Option, help="Class of all pictures of a flat folder.")
@click.option("--split", type=click.Choice(SPLITS), cls=Option, help="Split of all pictures, where no folder says so.")
@options_from(PhotoOptions)
@options_from(CropOptions)
@options_from(PipelineOptions, only=("detector", "min_face", "threads", "delegate", "accelerator"))
@options_from(SourceOptions, only=("max_pixels",))
@click.option(
    "--contact-sheets/--no-contact-sheets", default=True, help="Draw pages with all crops, to look through them."
)
def crop(  # one parameter per options dataclass, and per argument
    photos: Path,
    folder: Path,
    class_name: str | None,
    split: str | None,
    photo_options: PhotoOptions,
    crop_options: CropOptions,
    pipeline_options: PipelineOptions,
    source_options: SourceOptions,
    contact_sheets: bool,
) -> None:
    """Crop the faces of the photographs in PHOTOS, and write them to the same class folders in FACES.

    PHOTOS holds class folders (CLASS/*.jpg), or train, val and test folders with class folders; a class folder may have
    sub-folders, whose names then begin the names of the crops. Faces are found, turned upright and cropped as by
    'fer-edge run', and stored as gray PNG files of 48 pixels that are named after the photographs. A face narrower than
    --min-face, or than half of --size, is left out. FACES/left-out.csv lists the photographs without a crop and why,
    and FACES/contact-CLASS.jpg shows all crops of a class: look through it, and delete the crops that are wrong.

    The same command goes on where it was interrupted, and crops the photographs that were added since; crops that you
    have deleted stay deleted. Nothing leaves this computer.
    """
    quiet_opencv()
    pipeline_options = one_acceleration(pipeline_options)
    if class_name is not None:
        check_class(class_name)
    tree = find_photographs(photos, class_name, split)
    _refuse_nested(photos, folder)
    check_layout(folder, {each.folder for each in tree.photographs})
    with CropJournal(folder, _settings(photo_options, crop_options, pipeline_options)) as journal:
        _crop(journal, tree.photographs, photo_options, crop_options, pipeline_options, source_options.max_pixels)
        for each in tree.left_out:
            entry = left_out_entry(each.path, each.reason, each.detail)
            if journal.entries.get(entry.key) != entry:
                journal.add(entry)
        _report(journal, photos, tree, photo_options.crop, contact_sheets)


def _settings(photo: PhotoOptions, crop: CropOptions, pipeline: PipelineOptions) -> dict[str, object]:
    """What must be the same for all crops in one folder."""
    settings: dict[str, object] = {"crop": photo.crop, "size": crop.size, "colour": crop.colour}
    settings["min_face"] = pipeline.min_face
    if photo.crop:
        settings |= {"faces": photo.faces, "detector": pipeline.detector, "crop_margin": crop.crop_margin}
    return settings


def _refuse_nested(photos: Path, faces: Path) -> None:
    """DataError where one folder is in the other: crops would be taken for photographs, or photographs for crops."""
    outer, inner = (os.path.join(os.path.realpath(each), "") for each in (photos, faces))
    if inner.startswith(outer):
        raise DataError(f"{faces} is in {photos}, and the next run would crop its crops; give a folder outside")
    if outer.startswith(inner):
        raise DataError(f"{photos} is in {faces}, and would be read as faces, too; give another folder for the faces")


def _crop(
    journal: CropJournal,
    photographs: Sequence[Photograph],
    photo: PhotoOptions,
    crop: CropOptions,
    pipeline: PipelineOptions,
    max_pixels: int,
) -> None:
    """Crop the photographs that no run before has cropped, while a thread reads the next ones."""
    pending = [each for each in photographs if _is_pending(journal.entry_of(each.path, each.folder))]
    if len(pending) < len(photographs):
        log.info("%d of %d photographs were cropped before", len(photographs) - len(pending), len(photographs))
    if not pending:
        return
    detector: Detector | None = None
    if photo.crop:
        detector = open_detector(
            pipeline.detector, pipeline.threads, pipeline.acceleration, min_face=pipeline.min_face, continuous=False
        )
    cropper = PhotoCropper(journal, detector, crop, photo.faces, crop.least_width(pipeline.min_face))
    load = partial(load_photograph, max_pixels=max_pixels, gray=detector is None and not crop.colour)
    start, done = time.monotonic(), 0
    try:
        with Prefetch(pending, load) as results, progress_bar("cropping faces", len(pending)) as bar:
            for photograph, loaded in results:
                cropper.add(photograph, loaded)
                done += 1
                bar.update()
    except (KeyboardInterrupt, SystemExit):
        log.info("interrupted: %d of %d photographs are done; the same command goes on", done, len(pending))
        raise
    seconds = time.monotonic() - start
    log.info("photographs: %d in %.1f s, %.1f per second", done, seconds, done / max(seconds, 1e-3))
    if cropper.oblong:
        log.warning("%d pictures are far from square and were squeezed; is --no-crop right for them?", cropper.oblong)


def _is_pending(entry: CropEntry | None) -> bool:
    """Whether a photograph is to be cropped: it is new, or could not be read, which may be mended."""
    return entry is None or entry.reason == UNREADABLE


def _report(journal: CropJournal, photos: Path, tree: PhotoTree, is_cropping: bool, sheets: bool) -> None:
    """Print the crops per folder and what was left out, and write the list and the contact sheets.

    Raises DataError where there is no crop at all.
    """
    entries = {each: journal.entries[(printable(each.folder), printable_path(each.path))] for each in tree.photographs}
    met = [*entries.values(), *(left_out_entry(each.path, each.reason, each.detail) for each in tree.left_out)]
    reasons = listed(sorted(entry.reason for entry in met if entry.reason))
    if not any(entry.files for entry in entries.values()):
        advice = "; --min-face finds smaller ones, and --no-crop takes pictures that are faces already"
        raise DataError(f"{photos}: no crop of {len(entries)} photographs: {reasons}{advice if is_cropping else ''}")
    _print_counts(journal, entries)
    root, folders = f"{printable_path(photos)}/", {entry.folder for entry in met}
    others = [
        each for each in journal.entries.values() if each.folder not in folders or not each.photo.startswith(root)
    ]
    rows = [*met, *others]
    listing = journal.write_left_out(sorted((each for each in rows if each.reason), key=lambda each: each.photo))
    if reasons:
        click.echo(f"left out: {reasons}; see {printable(listing)}")
    if similar := sum(SIMILAR in entry.detail for entry in entries.values()):
        log.warning("several faces of like size in %d photographs: is the right one cropped?", similar)
    if sheets:
        pages = len(write_contact_sheets(journal.folder))
        place = printable(journal.folder / f"{PREFIX}*.jpg")
        click.echo(f"look through {place} ({pages} {'page' if pages == 1 else 'pages'}), and delete wrong crops")


def _print_counts(journal: CropJournal, entries: Mapping[Photograph, CropEntry]) -> None:
    """Print photographs and crops per folder, and log what there is to say of them."""
    photographs = Counter(printable(each.folder) for each in entries)
    crops: Counter[str] = Counter()
    deleted = 0
    for each, entry in entries.items():
        there = sum((journal.folder / each.folder / name).exists() for name in entry.files)
        crops[printable(each.folder)] += there
        deleted += len(entry.files) - there
    width = max(len("folder"), *map(len, photographs))
    click.echo(f"{'folder':{width}}{'photographs':>13}{'crops':>8}")
    for folder, count in photographs.items():
        click.echo(f"{folder:{width}}{count:13d}{crops[folder]:8d}")
        if not crops[folder]:
            log.warning("%s: no crop", folder)
    if deleted:
        log.info("%d crops were deleted since they were made, and stay so; %s lists them", deleted, JOURNAL)
