"""Fake quantization for training: tfmot's wrapper with our own quantizers and configurations.

tfmot's stock configurations start from ranges of ±6 and move them by an average of momentum 0.999, quantize a fused
swish only after it, and refuse Multiply. Here every int8 tensor has a range, which is measured (ranges.py) and fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot

from fer_edge.convert.graph import wrap_layers
from fer_edge.convert.ranges import Range, quantized_layers

_Q = tfmot.quantization.keras
_Quantizer: Any = _Q.quantizers.Quantizer
_QuantizeConfig: Any = _Q.QuantizeConfig
_KERNELS = {"Conv2D": "kernel", "Dense": "kernel", "DepthwiseConv2D": "depthwise_kernel"}


class FixedRange(_Quantizer):
    """8 bits, asymmetric, over a measured range that does not move. active: False switches the rounding off."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high, self.active = low, high, True

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Make the two ends, as variables that do not train."""
        return {
            end: layer.add_weight(f"{name}_{end}", initializer=tf.constant_initializer(value), trainable=False)
            for end, value in (("min", self.low), ("max", self.high))
        }

    def __call__(self, inputs: Any, training: Any, weights: dict[str, Any], **kwargs: Any) -> Any:
        """Round the inputs to one of 256 values; gradients pass inside the range."""
        if not self.active:
            return inputs
        return tf.quantization.fake_quant_with_min_max_vars(inputs, weights["min"], weights["max"])

    def get_config(self) -> dict[str, Any]:
        """The range."""
        return {"low": self.low, "high": self.high}


class WeightPeak(_Quantizer):
    """8 bits, symmetric in -127..127, over the largest weight of each output channel, or of all.

    channels: the number of output channels with a scale each, or None for a single scale. A scale per channel is the
    same before and after batch norm is folded in. active: False while exporting, where the converter itself rounds the
    folded weights by the same rule (given a rounded depthwise kernel, it would compute that layer in float).
    """

    def __init__(self, channels: int | None) -> None:
        self.channels, self.active = channels, True

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Make no variables: the peak is taken from the weights at every step."""
        return {}

    def __call__(self, inputs: Any, training: Any, weights: dict[str, Any], **kwargs: Any) -> Any:
        """Round the inputs to one of 255 values; gradients pass."""
        if not self.active:
            return inputs
        taps = tf.reshape(inputs, (-1, self.channels) if self.channels else (-1,))
        peak = tf.stop_gradient(tf.maximum(tf.reduce_max(tf.abs(taps), axis=0), 1e-8))
        fake = tf.quantization
        rounding = fake.fake_quant_with_min_max_vars_per_channel if self.channels else fake.fake_quant_with_min_max_vars
        return tf.reshape(rounding(taps, -peak, peak, narrow_range=True), inputs.shape)

    def get_config(self) -> dict[str, Any]:
        """The number of scales."""
        return {"channels": self.channels}


class LayerConfig(_QuantizeConfig):
    """Quantizes a layer's kernel, if it has one, and its output, if that is an int8 tensor of its own."""

    def __init__(self, kernel: str | None, channels: int | None, output: Range | None) -> None:
        self.kernel, self.channels, self.output = kernel, channels, output
        self.weight_quantizer = WeightPeak(channels)
        self.output_quantizer = FixedRange(*output) if output else None

    def get_weights_and_quantizers(self, layer: Any) -> list[Any]:
        """The kernel with its quantizer; biases are int32, whose rounding does not matter."""
        return [(getattr(layer, self.kernel), self.weight_quantizer)] if self.kernel else []

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        """Put the rounded kernel into the layer."""
        if self.kernel:
            setattr(layer, self.kernel, quantize_weights[0])

    def get_activations_and_quantizers(self, layer: Any) -> list[Any]:
        """None: decomposed models have no fused activation but ReLU, which TFLite fuses too."""
        return []

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        """Do nothing: there are none."""
        del layer, quantize_activations  # without a body AutoGraph warns once per conversion

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        """The output's quantizer, if it has one."""
        return [self.output_quantizer] if self.output_quantizer else []

    def get_config(self) -> dict[str, Any]:
        """Kernel, channels and output range."""
        return {"kernel": self.kernel, "channels": self.channels, "output": self.output}


def fake_quantize(model: Any, ranges: dict[str, Range]) -> Any:
    """Add fake quantization in every place where the int8 graph rounds.

    Convolutions, depthwise ones too, have a scale per output channel. Dense kernels have a single scale: tflite-runtime
    2.14 supports no other.

    Args:
        model: A decomposed float model.
        ranges: (low, high) of every int8 tensor by the name of its layer, from `calibrate`.

    Returns:
        A new tf_keras model with the same weights.
    """
    quantized = {layer.name for layer in quantized_layers(model)}

    def wrap(layer: Any) -> Any:
        kernel = _KERNELS.get(layer.__class__.__name__)
        output = ranges[layer.name] if layer.name in quantized else None
        if kernel is None and output is None:
            return layer
        return _Q.QuantizeWrapperV2(layer, LayerConfig(kernel, _scales(layer), output))

    return wrap_layers(model, wrap)


def _scales(layer: Any) -> int | None:
    """The number of scales of a layer's kernel, None for a single one."""
    kind = layer.__class__.__name__
    if kind == "Conv2D":
        return int(layer.kernel.shape[3])
    return int(layer.depthwise_kernel.shape[2]) if kind == "DepthwiseConv2D" else None


def quantizers(model: Any) -> dict[tuple[str, str], Any]:
    """A fake-quantized model's quantizers by (layer, 'weights' or 'output'), in the order of the graph."""
    by_key: dict[tuple[str, str], Any] = {}
    for wrapper in model.layers:
        config = getattr(wrapper, "quantize_config", None)
        if config and config.kernel:
            by_key[wrapper.layer.name, "weights"] = config.weight_quantizer
        if config and config.output_quantizer:
            by_key[wrapper.layer.name, "output"] = config.output_quantizer
    return by_key


@contextmanager
def active_quantizers(model: Any, is_active: Callable[[tuple[str, str]], bool]) -> Iterator[None]:
    """Switch all other quantizers off while the model runs eagerly or is traced.

    Args:
        model: A fake-quantized model.
        is_active: Called with each quantizer's (layer, 'weights' or 'output').

    Yields:
        Nothing; in the end all quantizers are switched on.
    """
    by_key = quantizers(model)
    try:
        for key, quantizer in by_key.items():
            quantizer.active = is_active(key)
        yield
    finally:
        for quantizer in by_key.values():
            quantizer.active = True
