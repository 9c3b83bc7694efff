"""A peer's detection as a face whose crop is framed as FER2013 does it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.faces.boxes import make_box
from fer_edge.edge.faces.crop import MARGIN
from fer_edge.edge.types import Face


def peer_face(row: NDArray[np.floating], picture_side: float) -> Face:
    """Convert a detection.

    Args:
        row: x0, y0, x1, y1, x and y of both eyes in pixels of the frame; the score comes last.
        picture_side: Side of a FER2013 picture in sides of this detector's box, which differs from detector to
            detector. The face's box is scaled so that the crop has that side.
    """
    x0, y0, x1, y1, eye_x0, eye_y0, eye_x1, eye_y1 = (float(value) for value in row[:8])
    grown = (picture_side / MARGIN - 1) / 2
    dx, dy = grown * (x1 - x0), grown * (y1 - y0)
    box = make_box(x0 - dx, y0 - dy, x1 + dx, y1 + dy)
    return Face(box, float(row[-1]), ((eye_x0, eye_y0), (eye_x1, eye_y1)))
