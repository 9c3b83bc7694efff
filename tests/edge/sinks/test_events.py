"""Events: a face comes, an emotion begins, a face leaves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from predictions import CLASSES

from fer_edge.edge.sinks.events import HOLD_TIME, Cooldown, EventDetector
from fer_edge.edge.types import Box, Face, Prediction

FRAME = 0.125  # seconds; binary, so that sums are exact


def face(emotion: str, track: int | None = 1, side: int = 60) -> Prediction:
    scores = np.full(7, 0.02, np.float32)
    scores[CLASSES.index(emotion)] = 0.88
    return Prediction(Face(Box(40, 50, side, side), 0.9, None, track), scores, CLASSES)


def events(
    story: list[str | None], detector: EventDetector | None = None
) -> list[tuple[str, float, str | None, str | None]]:
    """The events while one face shows these emotions, frame by frame; None is a frame without it."""
    detector = detector or EventDetector()
    return [
        (event.kind, event.time, event.emotion, event.before)
        for index, emotion in enumerate(story)
        for event in detector.update([face(emotion)] if emotion else [], index * FRAME)
    ]


def test_a_face_comes_smiles_and_goes() -> None:
    story = ["neutral"] * 6 + ["happy"] * 6 + [None] * 10
    assert events(story) == [
        ("face_came", 0.5, None, None),
        ("emotion", 0.5, "neutral", None),
        ("emotion", 1.25, "happy", "neutral"),
        ("face_left", 2.5, "happy", None),  # more than a second after its last frame
    ]


def test_a_short_false_detection_causes_no_event() -> None:
    assert events(["happy"] * 4 + [None] * 12) == []


def test_flicker_causes_no_event() -> None:
    story = ["neutral"] * 6 + ["happy", "sad", "happy", "neutral"] * 8 + ["neutral"] * 6
    assert [(kind, emotion) for kind, _, emotion, _ in events(story)] == [("face_came", None), ("emotion", "neutral")]


def test_an_emotion_begins_again_only_after_another() -> None:
    story = ["happy"] * 6 + ["sad"] * 3 + ["happy"] * 6 + ["sad"] * 6 + ["happy"] * 6
    assert [emotion for kind, _, emotion, _ in events(story) if kind == "emotion"] == ["happy", "sad", "happy"]


def test_a_short_gap_causes_no_event() -> None:
    story = ["happy", "happy", None, None, "happy"]
    assert [kind for kind, *_ in events(story)] == ["face_came", "emotion"]


def test_tracks_are_separate_and_the_largest_face_is_first() -> None:
    detector = EventDetector(hold_time=0.0)
    new = detector.update([face("sad", 4, 30), face("happy", 7, 90)], 0.0)
    assert [(event.kind, event.track, event.emotion) for event in new] == [
        ("face_came", 4, None),
        ("emotion", 4, "sad"),
        ("face_came", 7, None),
        ("emotion", 7, "happy"),
    ]
    assert [face.prediction.face.track for face in detector.faces] == [7, 4]
    assert detector.faces[0].confidence == pytest.approx(0.88)
    assert new[1].confidence == pytest.approx(0.88)


def test_faces_without_a_track_have_no_events() -> None:
    detector = EventDetector()
    assert not any(detector.update([face("happy", None)], time) for time in range(9))
    assert detector.faces == []


def test_all_faces_leave_when_time_jumps_back() -> None:
    detector = EventDetector()
    events(["happy"] * 6, detector)
    assert [event.kind for event in detector.update([face("happy", 2)], 0.0)] == ["face_left"]


@given(st.lists(st.sampled_from([*CLASSES, None]), max_size=60), st.sampled_from([0.0, 0.25, HOLD_TIME, 1.0]))
def test_order_of_events(story: list[str | None], hold: float) -> None:
    """A face comes before its emotions, each differs from the last and has lasted the hold time, and it leaves once."""
    detector, there, emotion = EventDetector(hold), False, None
    for index, label in enumerate(story):
        for event in detector.update([face(label)] if label else [], index * FRAME):
            assert there != (event.kind == "face_came")
            if event.kind == "emotion":
                assert set(story[index - int(hold / FRAME) : index + 1]) - {None} == {event.emotion}
                assert event.emotion != emotion == event.before
                emotion = event.emotion
            elif event.kind == "face_left":
                assert event.emotion == emotion
                emotion = None
            there = event.kind != "face_left"
        assert len(detector.faces) <= there
        assert len(detector.faces) == there or not any(story[index - int(hold / FRAME) : index + 1])


@pytest.mark.parametrize("hold", [0.0, 0.25, HOLD_TIME, 2.0])
def test_a_face_that_jumps_is_never_listed_twice(hold: float) -> None:
    detector, counts = EventDetector(hold), []
    for index in range(48):
        detector.update([face("happy", 1 if index < 24 else 2)], index * FRAME)
        counts.append(len(detector.faces))
    assert max(counts) == counts[23] == counts[-1] == 1


def test_cooldown() -> None:
    cooldown = Cooldown(2.0)
    assert cooldown.is_over(7.0)
    cooldown.start(7.0)
    assert [cooldown.is_over(time) for time in (7.0, 8.9, 9.0, 1.0)] == [False, False, True, True]
