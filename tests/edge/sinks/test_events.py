"""When a face comes, an emotion begins and a face leaves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.edge.sinks.events import HOLD_SECONDS, Cooldown, Watch
from fer_edge.edge.types import EMOTIONS, Box, Face, Prediction

FRAME = 0.125  # seconds; binary, so that sums are exact


def seen(emotion: str, track: int | None = 1, side: int = 60) -> Prediction:
    scores = np.full(7, 0.02, np.float32)
    scores[EMOTIONS.index(emotion)] = 0.88
    return Prediction(Face(Box(40, 50, side, side), 0.9, None, track), scores)


def events(story: list[str | None], watch: Watch | None = None) -> list[tuple[str, float, str | None, str | None]]:
    """What happens while one face shows these emotions, frame by frame; None is nobody."""
    watch = watch or Watch()
    return [
        (event.kind, event.time, event.emotion, event.before)
        for index, emotion in enumerate(story)
        for event in watch.see([seen(emotion)] if emotion else [], index * FRAME)
    ]


def test_a_face_comes_smiles_and_goes() -> None:
    story = ["neutral"] * 6 + ["happy"] * 6 + [None] * 10
    assert events(story) == [
        ("face_came", 0.5, None, None),
        ("emotion", 0.5, "neutral", None),
        ("emotion", 1.25, "happy", "neutral"),
        ("face_left", 2.5, "happy", None),  # more than a second after the last sight of it
    ]


def test_a_slip_of_the_detector_is_nobody() -> None:
    assert events(["happy"] * 4 + [None] * 12) == []


def test_flicker_begins_nothing() -> None:
    story = ["neutral"] * 6 + ["happy", "sad", "happy", "neutral"] * 8 + ["neutral"] * 6
    assert [(kind, emotion) for kind, _, emotion, _ in events(story)] == [("face_came", None), ("emotion", "neutral")]


def test_an_emotion_begins_again_only_after_another() -> None:
    story = ["happy"] * 6 + ["sad"] * 3 + ["happy"] * 6 + ["sad"] * 6 + ["happy"] * 6
    assert [emotion for kind, _, emotion, _ in events(story) if kind == "emotion"] == ["happy", "sad", "happy"]


def test_a_short_look_away_breaks_nothing() -> None:
    story = ["happy", "happy", None, None, "happy"]
    assert [kind for kind, *_ in events(story)] == ["face_came", "emotion"]


def test_tracks_are_told_apart_and_the_largest_is_first() -> None:
    watch = Watch(hold=0.0)
    began = watch.see([seen("sad", 4, 30), seen("happy", 7, 90)], 0.0)
    assert [(event.kind, event.track, event.emotion) for event in began] == [
        ("face_came", 4, None),
        ("emotion", 4, "sad"),
        ("face_came", 7, None),
        ("emotion", 7, "happy"),
    ]
    assert [face.prediction.face.track for face in watch.present] == [7, 4]
    assert watch.present[0].confidence == pytest.approx(0.88)
    assert began[1].confidence == pytest.approx(0.88)


def test_pictures_have_no_events() -> None:
    watch = Watch()
    assert not any(watch.see([seen("happy", None)], time) for time in range(9))
    assert watch.present == []


def test_a_file_that_starts_over_is_left_by_all() -> None:
    watch = Watch()
    events(["happy"] * 6, watch)
    assert [event.kind for event in watch.see([seen("happy", 2)], 0.0)] == ["face_left"]


@given(st.lists(st.sampled_from([*EMOTIONS, None]), max_size=60), st.sampled_from([0.0, 0.25, HOLD_SECONDS, 1.0]))
def test_the_order_of_things(story: list[str | None], hold: float) -> None:
    """A face comes before its emotions, each differs from the last and was held, and it leaves once."""
    watch, there, emotion = Watch(hold), False, None
    for index, shown in enumerate(story):
        for event in watch.see([seen(shown)] if shown else [], index * FRAME):
            assert there != (event.kind == "face_came")
            if event.kind == "emotion":
                assert set(story[index - int(hold / FRAME) : index + 1]) - {None} == {event.emotion}
                assert event.emotion != emotion == event.before
                emotion = event.emotion
            elif event.kind == "face_left":
                assert event.emotion == emotion
                emotion = None
            there = event.kind != "face_left"
        assert len(watch.present) <= there
        assert len(watch.present) == there or not any(story[index - int(hold / FRAME) : index + 1])


@pytest.mark.parametrize("hold", [0.0, 0.25, HOLD_SECONDS, 2.0])
def test_a_face_that_jumped_is_never_there_twice(hold: float) -> None:
    watch, there = Watch(hold), []
    for index in range(48):
        watch.see([seen("happy", 1 if index < 24 else 2)], index * FRAME)
        there.append(len(watch.present))
    assert max(there) == there[23] == there[-1] == 1


def test_rest() -> None:
    cooldown = Cooldown(2.0)
    assert cooldown.over(7.0)
    cooldown.begin(7.0)
    assert [cooldown.over(time) for time in (7.0, 8.9, 9.0, 1.0)] == [False, False, True, True]
