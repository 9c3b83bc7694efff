"""Let a network take pictures of any shape: `python -m fer_edge.convert.dynamic_shape IN.tflite OUT.tflite`.

Only the reshapes at the end of a convolutional network fix its input's shape, by their number of rows. With -1 there,
the interpreter can resize the input. models/face/blazeface_short.tflite is made this way.
"""

from __future__ import annotations

import sys
from pathlib import Path

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from fer_edge.edge.files.writing import write_bytes


def allow_any_shape(content: bytes) -> bytes:
    """Make the number of rows variable in each reshape to (1, rows, columns).

    Args:
        content: The .tflite file.

    Returns:
        The file, otherwise unchanged.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for graph in model.subgraphs:
        for operator in graph.operators:
            options = operator.builtinOptions
            if isinstance(options, schema.ReshapeOptionsT) and len(options.newShape) == 3:
                options.newShape = [1, -1, int(options.newShape[2])]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


if __name__ == "__main__":
    write_bytes(Path(sys.argv[2]), allow_any_shape(Path(sys.argv[1]).read_bytes()))
