"""Work in a thread: all of it, in order, errors where they are seen, and an end that comes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from waiting import until

from fer_edge.edge.commands.prefetch import Prefetch
from fer_edge.edge.errors import SourceError


def test_everything_comes_in_order() -> None:
    with Prefetch(range(50), lambda item: item * item) as results:
        assert list(results) == [(item, item * item) for item in range(50)]


def test_closing_ends_a_wait_for_the_next_item() -> None:
    stopped = threading.Event()

    def camera() -> Iterator[int]:
        yield 0
        stopped.wait()

    with Prefetch(camera(), lambda item: item, stop=stopped.set) as results:
        assert next(iter(results)) == (0, 0)
    assert stopped.is_set()
    until(lambda: "inference" not in [thread.name for thread in threading.enumerate()])


def test_work_goes_on_while_a_result_is_used_but_not_far() -> None:
    done: list[int] = []
    with Prefetch(range(50), done.append, depth=2) as results:
        for item, _ in results:
            most = min(50, item + 4)  # one in use, two that wait, one that waits for room
            until(lambda most=most: len(done) >= most)
            assert len(done) == most
            if item == 10:
                break


@pytest.mark.parametrize("where", ["items", "work"])
def test_errors_reach_whoever_takes_the_results(where: str) -> None:
    def items() -> Iterator[int]:
        yield 1
        if where == "items":
            raise SourceError("unplugged")
        yield 2

    def work(item: int) -> int:
        if item == 2:
            raise SourceError("unplugged")
        return item

    with Prefetch(items(), work) as results:
        taken = iter(results)
        assert next(taken) == (1, 1)
        with pytest.raises(SourceError, match="unplugged"):
            next(taken)


def test_closing_ends_the_thread_and_starts_nothing_more() -> None:
    done: list[int] = []
    with Prefetch(iter(int, 1), done.append) as results:
        next(iter(results))
    until(lambda: "inference" not in [thread.name for thread in threading.enumerate()])
    assert 1 <= len(done) <= 1 + 2 + 1  # in use, waiting, waiting for room
