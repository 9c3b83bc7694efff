"""stderr while a model opens: the runtime's notices are kept away, everybody else's lines are not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fer_edge.models import FOLDER


def test_what_others_say_while_a_model_opens_is_not_lost() -> None:
    """Its own notices are; the network of a detector opens while a run is under way."""
    program = f"""
import os, threading
from fer_edge.edge.tflite.interpreter import open_interpreter
opened = threading.Event()
def talk():
    count = 0
    while not opened.is_set() or count < 200:
        os.write(2, b"line %d\\n" % count)
        count += 1
    print(count)
talking = threading.Thread(target=talk)
talking.start()
for _ in range(5):
    open_interpreter({str(FOLDER / "mobilenet_v2_int8.tflite")!r})
opened.set()
talking.join()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stderr.splitlines()) == sorted(f"line {count}" for count in range(int(done.stdout)))


LATE = """
import os
from fer_edge.edge.tflite.stderr_filter import filter_notices
with filter_notices():
    under_way = os.dup(2)  # what a write holds that another thread has begun
os.write(under_way, b"late\\n")
"""

AT_ONCE = f"""
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


@pytest.mark.parametrize("program", [LATE, AT_ONCE], ids=["a write under way", "models that open at once"])
def test_stderr_is_not_lost_to(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "late\n")
