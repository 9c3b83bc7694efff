"""stderr while a model opens: the runtime's notices are filtered, all other lines get through."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fer_edge.models import FOLDER


def test_lines_of_other_threads_are_not_lost() -> None:
    """The runtime's notices are; a detector opens its model while a run is in progress."""
    program = f"""
import os, threading
from fer_edge.edge.tflite.interpreter import open_interpreter
opened = threading.Event()
def write_lines():
    count = 0
    while not opened.is_set() or count < 200:
        os.write(2, b"line %d\\n" % count)
        count += 1
    print(count)
writer = threading.Thread(target=write_lines)
writer.start()
for _ in range(5):
    open_interpreter({str(FOLDER / "mobilenet_v2_int8.tflite")!r})
opened.set()
writer.join()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stderr.splitlines()) == sorted(f"line {count}" for count in range(int(done.stdout)))


LATE = """
import os
from fer_edge.edge.tflite.stderr_filter import filter_notices
with filter_notices():
    unfinished = os.dup(2)  # what the unfinished write of another thread holds
os.write(unfinished, b"late\\n")
"""

SIMULTANEOUS = f"""
import os, threading
from fer_edge.edge.tflite.interpreter import open_interpreter
def open_some():
    for _ in range(20):
        open_interpreter({str(FOLDER / "mobilenet_v2_int8.tflite")!r})
threads = [threading.Thread(target=open_some) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
os.write(2, b"late\\n")
"""


@pytest.mark.parametrize("program", [LATE, SIMULTANEOUS], ids=["unfinished write", "models that open at the same time"])
def test_stderr_is_not_lost_to(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "late\n")
