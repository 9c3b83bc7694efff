"""TFLite files from Keras models, always for a batch size of 1: a variable one adds SHAPE and STRIDED_SLICE."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from fer_edge.convert.fake_quantization import active_quantizers
from fer_edge.edge.errors import ModelError
from fer_edge.edge.preprocess import network_input


def export_int8(fake_quantized: Any) -> bytes:
    """Export a fake-quantized model as an int8 .tflite file.

    Args:
        fake_quantized: The model, as `fake_quantize` makes it.

    Returns:
        The file: int8 input, int8 logits.

    Raises:
        ModelError: TensorFlow's converter refuses the model.
    """
    with active_quantizers(fake_quantized, lambda key: key[1] == "output"):  # the converter rounds the weights itself
        converter = _converter(fake_quantized)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return _convert(converter)


def export_post_training(model: Any, faces: NDArray[np.uint8]) -> bytes:
    """Export a float model as an int8 .tflite file with TFLite's own post-training quantization.

    Args:
        model: The float model, of tf_keras or Keras 3.
        faces: (N, 48, 48) uint8 faces to calibrate on.

    Returns:
        The file: int8 input, int8 logits.

    Raises:
        ModelError: TensorFlow's converter refuses the model.
    """
    shape = model.input_shape[2:]

    def representative() -> Iterator[list[NDArray[np.float32]]]:
        for face in faces:
            yield [network_input(face[None], *shape)]

    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return _convert(converter)


def export_float(model: Any, kind: str) -> bytes:
    """Export a float model as a .tflite file with float32 input and logits.

    Args:
        model: The float model, of tf_keras or Keras 3.
        kind: `float32`, `float16` (half-precision weights) or `dynamic` (int8 weights, float activations).

    Returns:
        The file.

    Raises:
        ModelError: TensorFlow's converter refuses the model.
    """
    converter = _converter(model)
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return _convert(converter)


def _converter(model: Any) -> Any:
    shape = (1, *model.input_shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name="image")], autograph=False)
    def logits(image: Any) -> Any:
        return model(image, training=False)

    return tf.lite.TFLiteConverter.from_concrete_functions([logits.get_concrete_function()], _holder(model))


def _holder(model: Any) -> Any:
    """What TensorFlow finds the model's variables in: Keras 3's are in wrappers of its own."""
    if isinstance(model, tf_keras.Model):
        return model
    holder = tf.Module()
    holder.tracked = [variable.value for variable in model.variables]
    return holder


def _convert(converter: Any) -> bytes:
    try:
        return bytes(converter.convert())
    except Exception as error:  # the converter raises ConverterError, ValueError and RuntimeError
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(f"TensorFlow's converter refused the model: {reason}") from None
