"""The process beside one that trains with others: it turns how that one ends into an exit code and one line.

Where a process of a training dies, JAX's coordination service ends the others: at once where a connection breaks, else
after HEARTBEAT_TIMEOUT, and always by SIGABRT with a stack trace, which nothing within the process can prevent. So the
training runs in a child, whose native libraries write into a pipe.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from typing import IO, NoReturn

from fer_edge.edge.errors import ConfigError, TrainingError, shortened
from fer_edge.edge.program.standard_streams import keep_from_libraries

VARIABLE = "FER_EDGE_SUPERVISED"
"""Set in the child: the descriptors of the pipe for its libraries' messages, and of one that ends with the parent."""

PATIENCE = 10
"""Seconds for a child that was interrupted, which may wait for the others in a call that no signal ends."""

LINES = 200
"""Last lines of native libraries that are kept."""

CONNECTED = "fer-edge: connected"
"""The line in the child's pipe that says that all processes have come."""

LOST = ("JAX distributed service", "coordination service", "CoordinationService")
"""What native libraries say when another process is lost."""


def lost(process: int, processes: int, reason: str) -> TrainingError:
    """The error of a process that cannot go on alone."""
    return TrainingError(
        f"process {process} of {processes} ends, as the connection to another one is lost ({shortened(reason, 160)}); "
        "finished epochs are in the checkpoint: start all processes again, with --resume, in any number"
    )


def is_supervised() -> bool:
    """Whether this process is the child."""
    return VARIABLE in os.environ


def supervise(process: int, processes: int, coordinator: str) -> NoReturn:
    """Run this program again as a child, and end as it ends.

    Args:
        process: Which of the processes this is.
        processes: How many there are.
        coordinator: Where process 0 listens.

    Raises:
        SystemExit: The child has ended with this code.
        TrainingError: It was ended by a signal, that of the coordination service for example.
        ConfigError: The other processes have not come.
    """
    messages, for_messages = os.pipe()
    end_with_parent, alive = os.pipe()
    command = [sys.executable, *sys.orig_argv[1:]]
    environment = {**os.environ, VARIABLE: f"{for_messages},{end_with_parent}"}
    sys.stdout.flush()
    # a group of its own: Ctrl-C comes to it once, from here
    child = subprocess.Popen(command, env=environment, pass_fds=(for_messages, end_with_parent), process_group=0)
    os.close(for_messages)
    os.close(end_with_parent)
    lines: deque[str] = deque(maxlen=LINES)
    connected, stream = threading.Event(), os.fdopen(messages, errors="replace")
    reader = threading.Thread(target=_collect, args=(stream, lines, connected), daemon=True)
    reader.start()
    try:
        code = child.wait()
    except BaseException as error:
        _end(child, signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM)
        raise
    finally:
        os.close(alive)
    if code >= 0:
        raise SystemExit(code)
    reader.join(1)
    reason = next((line for line in lines if any(words in line for words in LOST)), None)
    if code == -signal.SIGABRT and reason:
        if connected.is_set():
            raise lost(process, processes, "no heartbeat of it")
        raise ConfigError(
            f"process {process} of {processes}: not all processes have come to {coordinator} in time; start each one "
            "once, with the same --coordinator and --processes, where it can reach that address"
        )
    said = f": {shortened(lines[0], 160)}" if lines and code != -signal.SIGKILL else ""
    hint = "; the system kills so where memory is short" if code == -signal.SIGKILL else ""
    raise TrainingError(
        f"process {process} of {processes} was ended by {signal.Signals(-code).name}{said}{hint}; finished epochs are "
        "in the checkpoint: start all processes again, with --resume"
    )


def _collect(messages: IO[str], lines: deque[str], connected: threading.Event) -> None:
    with messages:
        for line in map(str.strip, messages):
            if line == CONNECTED:
                connected.set()
            elif line:
                lines.append(line)


def _end(child: subprocess.Popen[bytes], number: int) -> None:
    """Pass on a signal, and wait until the child has ended by it, or kill it."""
    child.send_signal(number)
    try:
        child.wait(PATIENCE)
    except BaseException:  # the time is over, or another signal has come
        child.kill()
        child.wait()


def begin_supervised() -> None:
    """In the child: give native libraries the pipe for their messages, and end where the parent ends."""
    messages, end_with_parent = map(int, os.environ[VARIABLE].split(","))
    keep_from_libraries(messages)
    # a daemon, so that the program ends without waiting for the others, as JAX would at exit
    threading.Thread(target=_end_with_parent, args=(end_with_parent,), daemon=True).start()


def report_connected() -> None:
    """Tell the parent, where there is one, that all processes have come."""
    if is_supervised():
        os.write(int(os.environ[VARIABLE].split(",")[0]), f"{CONNECTED}\n".encode())


def _end_with_parent(descriptor: int) -> None:
    os.read(descriptor, 1)
    os._exit(2)
