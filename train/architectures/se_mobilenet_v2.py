"""MobileNetV2 with squeeze-and-excitation (Hu et al. 2018, arXiv:1709.01507) and an output stride of 16.

The backbone's output has one gate. `PLACEMENT = "blocks"` puts one into every inverted residual instead, behind the
depthwise convolution, where MobileNetV3 has them (Howard et al. 2019, arXiv:1905.02244). Both were measured, one run
each, on FER2013's PublicTest from the same ImageNet weights with
`fer-edge train se_mobilenet_v2 --warmup-size 48 --small-size 48 --small-epochs 3 --top-epochs 0 --full-epochs 0`:
53.66 % with the one gate (3.1 M parameters), 54.36 % with seventeen (5.2 M). The standard error of such a difference
is about 0.8 points, so the cheaper one is kept. (Both with MobileNetV2's own output stride of 32.)

The last features of a 96-px face are 6x6 and not 3x3: train/RESULTS.md has what that gains.
"""

from __future__ import annotations

from typing import Any

from fer_edge.edge.preprocess import INPUT_SIZE
from fer_edge.train.architectures.layers import head, squeeze_excite
from fer_edge.train.architectures.mobilenet_v2 import TOP_FROM as TOP_FROM
from fer_edge.train.architectures.mobilenet_v2 import backbone

NAME = "se_mobilenet_v2"
SIZE = INPUT_SIZE
LAST_FROM = "block_13_expand"
PLACEMENT = "output"


def build(keras: Any, size: int, classes: int) -> Any:
    """SE-MobileNetV2 with the shared head: (N, size, size, 3) in [-1, 1] to (N, C) logits."""
    inputs = keras.layers.Input((size, size, 3), name="image")
    x = backbone(keras, inputs, _gate(keras, 4) if PLACEMENT == "blocks" else None, output_stride=16)
    if PLACEMENT == "output":
        x = _gate(keras, 16)(x, "out_")
    return keras.Model(inputs, head(keras, x, classes), name=NAME)


def _gate(keras: Any, ratio: int) -> Any:
    return lambda x, prefix: squeeze_excite(keras, x, int(x.shape[-1]) // ratio, "relu", prefix, opened=True)
