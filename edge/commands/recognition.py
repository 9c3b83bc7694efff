"""Recognition that can be switched off while a run goes on: its frames are then shown, and not searched for faces."""

from __future__ import annotations

from fer_edge.edge.pipeline import Intermittent, Pipeline
from fer_edge.edge.types import STAGES, Frame, Prediction


class Recognition:
    """Runs the pipeline on frames, or lets them pass while it is off, which takes no processor time.

    Attributes:
        pipeline: The pipeline.
        on: Whether it runs; any thread may change it.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.on = True
        self._was_off = False

    def process(self, frame: Frame) -> tuple[list[Prediction] | None, dict[str, float]]:
        """Process the next frame.

        Args:
            frame: The frame.

        Returns:
            Its faces, None while recognition is off, and the seconds that each stage took.
        """
        if not self.on:
            self._was_off = True
            return None, dict.fromkeys(STAGES, 0.0)
        if self._was_off:
            self._was_off = False
            if isinstance(self.pipeline.detector, Intermittent):
                self.pipeline.detector.detect_next()
        return self.pipeline.process(frame), self.pipeline.stages
