"""Commands that run when an emotion begins."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks.background_worker import BackgroundWorker
from fer_edge.edge.sinks.events import HOLD_SECONDS, Cooldown, Event, Watch
from fer_edge.edge.types import Frame, Prediction

log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds after which a command that has not ended is killed, with all that it started."""

FAREWELL = 5.0
"""Seconds that a command has left when the program ends."""

STDERR = 2
"""Where a command's output goes: stdout is for results."""


class EmotionCommand:
    """A command for an emotion, split into words as a shell would but run without one, once at a time.

    It finds FER_EDGE_EMOTION, FER_EDGE_CONFIDENCE and FER_EDGE_TRACK in its environment. A failure is logged. Raises
    SinkError when it is no command.
    """

    def __init__(self, emotion: str, command: str, cooldown: float) -> None:
        self.emotion, self.name = emotion, f"--on {emotion} {command!r}"
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise SinkError(f"{self.name}: {str(error).lower()}") from None
        if not self._words or shutil.which(self._words[0]) is None:
            raise SinkError(f"{self.name}: expected a program and its arguments; for a line of a shell: sh -c '…'")
        self._cooldown = Cooldown(cooldown)
        self._child: subprocess.Popen[bytes] | None = None
        self._runner = BackgroundWorker(self._run, f"command for {emotion}")

    def offer(self, event: Event) -> None:
        """Run for the event, unless the command still runs or rests."""
        if event.emotion == self.emotion and self._cooldown.over(event.time) and self._runner.offer(event):
            self._cooldown.begin(event.time)

    def _run(self, event: Event) -> None:
        # what is meant for us, a broker's password among it, is nobody else's
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FER_EDGE_")}
        environment["FER_EDGE_EMOTION"] = self.emotion
        environment["FER_EDGE_CONFIDENCE"] = f"{event.confidence:.4f}"
        environment["FER_EDGE_TRACK"] = str(event.track)
        try:
            # a session of its own: Ctrl-C is not for it, and it can be killed with its children
            self._child = subprocess.Popen(
                self._words, stdin=subprocess.DEVNULL, stdout=STDERR, env=environment, start_new_session=True
            )
        except OSError as error:
            log.info("%s cannot be run: %s", self.name, error.strerror)
            return
        try:
            code = self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._kill(self._child)
            code = self._child.wait()
        if code:
            log.info("%s %s", self.name, f"ended with {code}" if code > 0 else f"was ended by signal {-code}")

    def _kill(self, child: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    def close(self) -> None:
        """Wait for a command that runs, and kill it if it takes too long."""
        self._runner.close(FAREWELL)
        if self._child is not None and self._child.returncode is None:
            self._kill(self._child)
            self._runner.close()


class CommandSink:
    """Runs commands when the emotions begin that they are for. hooks: (emotion, command). Raises SinkError."""

    def __init__(
        self,
        hooks: Iterable[tuple[str, str]],
        cooldown: float = 0.0,
        hold: float = HOLD_SECONDS,
    ) -> None:
        self._hooks = [EmotionCommand(emotion, command, cooldown) for emotion, command in hooks]
        self._watch = Watch(hold)

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        for event in self._watch.see(predictions, frame.time):
            if event.kind == "emotion":
                for hook in self._hooks:
                    hook.offer(event)

    def close(self) -> None:
        for hook in self._hooks:
            hook.close()
