"""Pictures with addresses, fetched ahead of their use: several travel while one is processed."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from functools import lru_cache

from fer_edge.edge.commands.archive.inputs import Input
from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.pictures import max_bytes
from fer_edge.edge.sources.remote_pictures import fetch, is_remote

AHEAD = 8
"""Pictures that are fetched at once: with 50 ms for each, a core that takes 10 ms does not wait."""

Request = tuple[Future[bytes], str, int]
"""Where the content goes, the address, and bytes at most."""


def fetch_ahead(inputs: Iterable[Input], max_pixels: int) -> Iterator[Input]:
    """Fetch the pictures that have addresses.

    Args:
        inputs: The inputs.
        max_pixels: Largest width times height that will be decoded; it limits what is fetched.

    Yields:
        The inputs in their order, those with addresses with their content, or with the error that fetching ended with.
    """
    waiting: deque[tuple[Input, Future[bytes] | None]] = deque()
    for each in inputs:
        remote = each.kind == "picture" and each.error is None and each.content is None and is_remote(each.path)
        waiting.append((each, _request(each.path, max_bytes(max_pixels)) if remote else None))
        while waiting and (len(waiting) > AHEAD or waiting[0][1] is None):
            yield _finished(*waiting.popleft())
    while waiting:
        yield _finished(*waiting.popleft())


def _finished(each: Input, content: Future[bytes] | None) -> Input:
    if content is None:
        return each
    try:
        return replace(each, content=content.result())
    except SourceError as error:
        return replace(each, error=str(error))


def _request(address: str, limit: int) -> Future[bytes]:
    future: Future[bytes] = Future()
    _requests(os.getpid()).put((future, address, limit))
    return future


@lru_cache(maxsize=1)
def _requests(_: int) -> queue.SimpleQueue[Request]:
    """The requests of a process, and the threads that answer them, which end with it, whatever they wait for."""
    requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
    for _number in range(AHEAD):
        threading.Thread(target=_answer, args=(requests,), name="fetch", daemon=True).start()
    return requests


def _answer(requests: queue.SimpleQueue[Request]) -> None:
    while True:
        future, address, limit = requests.get()
        try:
            future.set_result(fetch(address, limit))
        except BaseException as error:  # raised again where the content is used
            future.set_exception(error)
