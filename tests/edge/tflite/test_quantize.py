"""Quantization and dequantization."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fer_edge.edge.tflite.interpreter import Tensor
from fer_edge.edge.tflite.quantize import dequantize, gray_table, quantize

INT8 = Tensor("x", 0, (1,), np.dtype(np.int8), 0.0078, -1)


@given(arrays(np.float32, 20, elements=st.floats(-0.96875, 0.96875, width=32)))
def test_quantization_is_off_by_half_a_step_at_most(real: np.ndarray) -> None:
    assert np.abs(dequantize(quantize(real, INT8), INT8) - real).max() <= INT8.scale / 2 + 1e-6


@given(arrays(np.float32, 20, elements=st.floats(-1e6, 1e6, width=32)))
def test_quantization_clips(real: np.ndarray) -> None:
    integers = quantize(real, INT8)
    assert integers.dtype == np.int8 and np.all(integers[real > 1] == 127) and np.all(integers[real < -1] == -128)


def test_gray_table_is_monotonic_and_spans_the_range() -> None:
    table = gray_table(INT8)
    assert table.shape == (256,) and np.all(np.diff(table.astype(int)) >= 0) and table[0] < -120 and table[-1] > 120
