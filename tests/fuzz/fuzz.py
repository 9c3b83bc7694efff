"""Fuzz every reader: `python tests/fuzz/fuzz.py [--cases 200000] [--seed 1] [TARGET...]`; `make fuzz` runs it.

Each target gets its share of the cases, in processes of their own. A process that dies by a signal is a crash, a case
of more than TIMEOUT seconds a hang; both are skipped and the rest goes on. Inputs that fail are kept in .cache/fuzz.
Exit code 1 where one did.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]

from targets import TARGETS  # noqa: E402
from worker import case_bytes  # noqa: E402

KEPT = Path(__file__).parents[2] / ".cache" / "fuzz"
TIMEOUT = 30.0
"""Seconds after which a case hangs; it takes into account that the machine is busy."""

BATCH = 5000
"""Cases of a process."""


@dataclass
class Tally:
    """What the cases of a target came to; `failures` has the kind, the case and what is known about it."""

    cases: int = 0
    seconds: float = 0.0
    peak_mib: float = 0.0
    failures: list[tuple[str, int, str]] = field(default_factory=list)

    def count(self, kind: str) -> int:
        return sum(each == kind for each, _, _ in self.failures)


def fuzz(target: str, seed: int, cases: int) -> Tally:
    """Run a target's cases."""
    tally, start = Tally(), time.monotonic()
    for first in range(0, cases, BATCH):
        end = min(cases, first + BATCH)
        while first < end:
            first = _batch(target, seed, first, end, tally)
    tally.seconds = time.monotonic() - start
    return tally


def _batch(target: str, seed: int, first: int, end: int, tally: Tally) -> int:
    """Run cases in a process until it ends or dies; the first case that is left."""
    with NamedTemporaryFile() as progress, NamedTemporaryFile("w+", errors="replace") as errors:
        progress.write((first).to_bytes(8, "little"))
        progress.flush()
        words = [sys.executable, str(Path(__file__).with_name("worker.py")), target, str(seed), str(first), str(end)]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
        process = subprocess.Popen(
            [*words, progress.name], stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        )
        with ThreadPoolExecutor(1) as reading:
            assert process.stdout is not None
            lines = reading.submit(process.stdout.readlines)
            hung = _hangs(process, progress.name)
            for line in lines.result():
                found = json.loads(line)
                tally.peak_mib = max(tally.peak_mib, found.get("peak_mib", 0.0))
                if "problem" in found:
                    tally.failures.append(("traceback", found["case"], found["problem"]))
        if process.returncode == 0:
            tally.cases += end - first
            return end
        errors.seek(0)
        if process.returncode > 0:  # not by a case, whose exceptions it reports
            sys.exit(f"{target}: the worker failed\n{errors.read()}")
        last = _running(progress.name)
        kind = "hang" if hung else "crash"
        tally.failures.append((kind, last, f"exit code {process.returncode}\n{errors.read()[-3000:]}"))
        tally.cases += last + 1 - first
        return last + 1


def _running(progress: str) -> int:
    return int.from_bytes(Path(progress).read_bytes(), "little")


def _hangs(process: subprocess.Popen[str], progress: str) -> bool:
    """Wait for the end of a process; True where a case took too long, after which it is killed."""
    case, since = -1, time.monotonic()
    while True:
        try:
            process.wait(0.2)
            return False
        except subprocess.TimeoutExpired:
            now = _running(progress)
            if now != case:
                case, since = now, time.monotonic()
            elif time.monotonic() - since > TIMEOUT:
                process.kill()
                process.wait()
                return True


def keep(target: str, seed: int, failures: list[tuple[str, int, str]]) -> Iterator[str]:
    """Write the inputs that failed, each with what is known about it; a line for each."""
    KEPT.mkdir(parents=True, exist_ok=True)
    seeds = TARGETS[target].seeds()
    for kind, number, text in failures:
        path = KEPT / f"{target}-{seed}-{number}"
        path.write_bytes(case_bytes(seeds, target, seed, number))
        path.with_suffix(".txt").write_text(f"{kind}\n{text}\n")
        yield f"{kind}: {path.relative_to(KEPT.parents[1])}: {text.strip().splitlines()[-1][:160]}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz every reader.")
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--cases", type=int, default=200_000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=1, help="another one gives other cases")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at a time")
    options = parser.parse_args()
    names = options.targets or list(TARGETS)
    shares = sum(TARGETS[name].share for name in names)
    total, failed = 0, 0
    print("| target | cases | per second | crashes | hangs | tracebacks | peak MiB |\n|---|--:|--:|--:|--:|--:|--:|")
    with ThreadPoolExecutor(options.jobs) as running:
        counts = {name: -(-options.cases * TARGETS[name].share // shares) for name in names}
        tallies = {name: running.submit(fuzz, name, options.seed, count) for name, count in counts.items()}
        for name, future in tallies.items():
            tally = future.result()
            total, failed = total + tally.cases, failed + len(tally.failures)
            kinds = [str(tally.count(kind)) for kind in ("crash", "hang", "traceback")]
            cells = [name, str(tally.cases), f"{tally.cases / tally.seconds:.0f}", *kinds, f"{tally.peak_mib:.0f}"]
            print(f"| {' | '.join(cells)} |", flush=True)
            for line in keep(name, options.seed, tally.failures[:20]):
                print(line, file=sys.stderr)
    print(f"\n{total} cases, {failed} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
