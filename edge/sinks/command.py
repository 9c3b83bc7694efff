"""Runs commands when an emotion begins."""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from time import monotonic, sleep

from fer_edge.edge.errors import SinkError, shortened
from fer_edge.edge.sinks.background_worker import BackgroundWorker
from fer_edge.edge.sinks.events import HOLD_TIME, Cooldown, Event, EventDetector
from fer_edge.edge.types import Frame, Prediction

log = logging.getLogger(__name__)

COMMAND_TIMEOUT = 30.0
"""Seconds after which a running command is killed, with its children, those that it left behind among them."""

CLOSE_TIMEOUT = 5.0
"""Seconds that a running command has left when the program ends."""

POLL_INTERVAL = 0.05
"""Seconds between two checks for processes that a command left behind: the system does not report their end."""

STDERR = 2
"""File descriptor of a command's output: stdout is for results."""


SHELL_SYNTAX = re.compile(r"[|&;<>()`$*?{}]|^\w+=")
"""What only a shell understands in a command's first word."""

SHELL_WORDS = frozenset(("cd", "export", "source", ".", "eval", "if", "for", "while", "exec", "set", "alias", "ulimit"))
"""Words that are no programs, but a shell's own."""


class EmotionCommand:
    """A command for one emotion, split into words as a shell would but run without one; one at a time.

    It runs until the processes that it left in the background have ended, too, so that many events cannot start more
    and more of them. It gets FER_EDGE_EMOTION, FER_EDGE_CONFIDENCE and FER_EDGE_TRACK in its environment. A failure is
    logged, by the program's name alone: an argument may be a password.

    Raises:
        SinkError: The command cannot be split, or its program does not exist or is not executable.
    """

    def __init__(self, emotion: str, command: str, cooldown: float) -> None:
        self.emotion, self.name = emotion, f"--on {emotion}"
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise SinkError(f"{self.name}: {str(error).lower()}; quote the command's words as for a shell") from None
        if not self._words or "\0" in command:
            raise SinkError(f"{self.name}: the command is empty or holds \\0; expected a program and its arguments")
        program = self._words[0]
        if SHELL_SYNTAX.search(program) or program in SHELL_WORDS:
            raise SinkError(f"{self.name}: the command is shell syntax, but no shell runs it; write sh -c '…'")
        self.name += f" {shortened(program)}"
        if shutil.which(program) is None:
            raise SinkError(f"{self.name}: {_missing(program)}")
        self._cooldown = Cooldown(cooldown)
        self._process: subprocess.Popen[bytes] | None = None
        self._worker = BackgroundWorker(self._run, f"command for {emotion}")

    @property
    def running(self) -> bool:
        """Whether the command runs now."""
        return self._worker.busy

    def set_cooldown(self, seconds: float) -> None:
        """Change the minimum time between two runs."""
        self._cooldown.seconds = seconds

    def trigger(self, event: Event) -> None:
        """Run the command if the event is for it, unless it still runs or cools down."""
        if event.emotion == self.emotion and self._cooldown.is_over(event.time) and self._worker.submit(event):
            self._cooldown.start(event.time)

    def _run(self, event: Event) -> None:
        # fer-edge's own settings, a broker's password among them, are not passed on
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FER_EDGE_")}
        environment["FER_EDGE_EMOTION"] = self.emotion
        environment["FER_EDGE_CONFIDENCE"] = f"{event.confidence:.4f}"
        environment["FER_EDGE_TRACK"] = str(event.track)
        try:
            # a session of its own: Ctrl-C does not reach it, and it can be killed with its children
            self._process = subprocess.Popen(
                self._words, stdin=subprocess.DEVNULL, stdout=STDERR, env=environment, start_new_session=True
            )
        except OSError as error:
            log.info("%s cannot be run: %s", self.name, error.strerror)
            return
        code = self._wait(self._process)
        if code:
            log.info("%s %s", self.name, f"exited with code {code}" if code > 0 else f"was ended by signal {-code}")

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the command and the background processes of its group; kill them all at the timeout.

        Returns:
            The command's exit code, the negative number of a signal that ended it.
        """
        end = monotonic() + COMMAND_TIMEOUT
        with suppress(subprocess.TimeoutExpired):
            process.wait(COMMAND_TIMEOUT)
        while process.returncode is not None and monotonic() < end:
            with suppress(ChildProcessError):  # in a container this process may be the one that orphans are left to
                while os.waitpid(-process.pid, os.WNOHANG)[0]:
                    pass
            if not _signal_group(process, 0):
                return process.returncode
            sleep(POLL_INTERVAL)
        if _signal_group(process, signal.SIGKILL) and process.returncode is not None:
            log.info("%s left processes behind, which were killed after %.0f s", self.name, COMMAND_TIMEOUT)
        return process.wait()

    def close(self) -> None:
        """Wait up to `CLOSE_TIMEOUT` for a running command, then kill it."""
        self._worker.close(CLOSE_TIMEOUT)
        if self._worker.busy and self._process is not None:
            _signal_group(self._process, signal.SIGKILL)
            self._worker.close()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal to a process and its children; whether there are any.

    The number of a group is not given away while a process is in it, and here it is used at once after the last.
    """
    try:
        os.killpg(process.pid, number)
    except PermissionError:  # all of them have become another user's
        return True
    except ProcessLookupError:
        return False
    return True


def _missing(program: str) -> str:
    """Why a word that begins a command cannot be run, and what to do."""
    if os.sep not in program:
        return "there is no program of that name in PATH; install it, or give its whole path"
    if not os.path.exists(program):
        return f"there is no such program{'' if os.path.isabs(program) else f' in {os.getcwd()}'}; give its whole path"
    return "it is no program that this user can execute; chmod +x it, or name its interpreter before it"


class CommandSink:
    """Runs commands when their emotions begin.

    Args:
        commands: Pairs of emotion and command.
        cooldown: Minimum seconds between two runs of a command.
        hold_time: Seconds that an emotion must last to have begun.

    Raises:
        SinkError: A command is invalid.
    """

    def __init__(
        self, commands: Iterable[tuple[str, str]], cooldown: float = 0.0, hold_time: float = HOLD_TIME
    ) -> None:
        self._commands = [EmotionCommand(emotion, command, cooldown) for emotion, command in commands]
        self._events = EventDetector(hold_time)

    @property
    def busy(self) -> bool:
        """Whether a command runs now."""
        return any(command.running for command in self._commands)

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        for event in self._events.update(predictions, frame.time):
            if event.kind == "emotion":
                for command in self._commands:
                    command.trigger(event)

    def set_timing(self, hold: float | None = None, cooldown: float | None = None) -> None:
        if hold is not None:
            self._events.hold_time = hold
        if cooldown is not None:
            for command in self._commands:
                command.set_cooldown(cooldown)

    def close(self) -> None:
        for command in self._commands:
            command.close()
