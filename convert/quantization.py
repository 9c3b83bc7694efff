"""Fake quantization for training, from tfmot's wrapper with quantizers and configurations of our own.

tfmot's stock configurations move ranges by an average of 0.999 from ±6, quantize a fused swish only behind it and
refuse Multiply; here every range is set from measured data (ranges.py) and held, and every int8 tensor has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot

from fer_edge.convert.graph import rewrap
from fer_edge.convert.ranges import Range, quantized_layers

_Q = tfmot.quantization.keras
_Quantizer: Any = _Q.quantizers.Quantizer
_QuantizeConfig: Any = _Q.QuantizeConfig
_KERNELS = {"Conv2D": "kernel", "Dense": "kernel", "DepthwiseConv2D": "depthwise_kernel"}


class HeldRange(_Quantizer):
    """8 bits, asymmetric, over a range that was measured and does not move. active: off to see what it costs."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high, self.active = low, high, True

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """The two ends, as variables that do not train."""
        return {
            end: layer.add_weight(f"{name}_{end}", initializer=tf.constant_initializer(value), trainable=False)
            for end, value in (("min", self.low), ("max", self.high))
        }

    def __call__(self, inputs: Any, training: Any, weights: dict[str, Any], **kwargs: Any) -> Any:
        """inputs rounded to one of 256 values; gradients pass inside the range."""
        if not self.active:
            return inputs
        return tf.quantization.fake_quant_with_min_max_vars(inputs, weights["min"], weights["max"])

    def get_config(self) -> dict[str, Any]:
        """The range."""
        return {"low": self.low, "high": self.high}


class WeightPeak(_Quantizer):
    """8 bits, symmetric in -127..127, as wide as the largest weight: of each output channel, or of all.

    channels: how many output channels have a scale of their own, or None for one scale. A scale per channel is the
    same before and after batch norm is folded in. active: off while exporting, where the converter rounds the folded
    weights by the same rule itself (given a rounded depthwise kernel it would compute that layer in float).
    """

    def __init__(self, channels: int | None) -> None:
        self.channels, self.active = channels, True

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """No variables: the peak is read off the weights at every step."""
        return {}

    def __call__(self, inputs: Any, training: Any, weights: dict[str, Any], **kwargs: Any) -> Any:
        """inputs rounded to one of 255 values; gradients pass."""
        if not self.active:
            return inputs
        taps = tf.reshape(inputs, (-1, self.channels) if self.channels else (-1,))
        peak = tf.stop_gradient(tf.maximum(tf.reduce_max(tf.abs(taps), axis=0), 1e-8))
        fake = tf.quantization
        rounding = fake.fake_quant_with_min_max_vars_per_channel if self.channels else fake.fake_quant_with_min_max_vars
        return tf.reshape(rounding(taps, -peak, peak, narrow_range=True), inputs.shape)

    def get_config(self) -> dict[str, Any]:
        """How many scales."""
        return {"channels": self.channels}


class LayerConfig(_QuantizeConfig):
    """The kernel, if there is one, and the output, if it is an int8 tensor of its own."""

    def __init__(self, kernel: str | None, channels: int | None, output: Range | None) -> None:
        self.kernel, self.channels, self.output = kernel, channels, output
        self.weight_quantizer = WeightPeak(channels)
        self.output_quantizer = HeldRange(*output) if output else None

    def get_weights_and_quantizers(self, layer: Any) -> list[Any]:
        """The kernel with its quantizer; biases are int32 and lose nothing."""
        return [(getattr(layer, self.kernel), self.weight_quantizer)] if self.kernel else []

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        """Put the rounded kernel into the layer."""
        if self.kernel:
            setattr(layer, self.kernel, quantize_weights[0])

    def get_activations_and_quantizers(self, layer: Any) -> list[Any]:
        """None: unfolded graphs have no fused activation but ReLU, which TFLite fuses too."""
        return []

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        """Nothing to set."""
        del layer, quantize_activations  # a body, without which AutoGraph warns once a conversion

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        """The output's held range, or none."""
        return [self.output_quantizer] if self.output_quantizer else []

    def get_config(self) -> dict[str, Any]:
        """The three decisions."""
        return {"kernel": self.kernel, "channels": self.channels, "output": self.output}


def fake_quantized(model: Any, ranges: dict[str, Range]) -> Any:
    """An unfolded float model with fake quantization in every place where the int8 graph rounds.

    Convolutions, depthwise ones too, have a scale per output channel. Dense kernels have one: tflite-runtime 2.14
    knows no other.
    """
    quantized = {layer.name for layer in quantized_layers(model)}

    def wrap(layer: Any) -> Any:
        kernel = _KERNELS.get(layer.__class__.__name__)
        output = ranges[layer.name] if layer.name in quantized else None
        if kernel is None and output is None:
            return layer
        return _Q.QuantizeWrapperV2(layer, LayerConfig(kernel, _scales(layer), output))

    return rewrap(model, wrap)


def _scales(layer: Any) -> int | None:
    kind = layer.__class__.__name__
    if kind == "Conv2D":
        return int(layer.kernel.shape[3])
    return int(layer.depthwise_kernel.shape[2]) if kind == "DepthwiseConv2D" else None


def quantizers(model: Any) -> dict[tuple[str, str], Any]:
    """A fake-quantized model's quantizers by (layer, 'weights' or 'output'), in the order of the graph."""
    found: dict[tuple[str, str], Any] = {}
    for wrapper in model.layers:
        config = getattr(wrapper, "quantize_config", None)
        if config and config.kernel:
            found[wrapper.layer.name, "weights"] = config.weight_quantizer
        if config and config.output_quantizer:
            found[wrapper.layer.name, "output"] = config.output_quantizer
    return found


@contextmanager
def only(model: Any, kept: Callable[[tuple[str, str]], bool]) -> Iterator[None]:
    """Only the quantizers that are kept at work, while the model runs eagerly or is traced."""
    every = quantizers(model)
    try:
        for key, quantizer in every.items():
            quantizer.active = kept(key)
        yield
    finally:
        for quantizer in every.values():
            quantizer.active = True
