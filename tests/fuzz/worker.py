"""Runs the cases of a target in a process that may die: `worker.py TARGET SEED FIRST END PROGRESS`.

PROGRESS is a file of eight bytes, the number of the case that is running. A case that ends in anything but a clear
error is printed as a line of JSON. At the end, the peak resident memory in MiB is printed.
"""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import random
import resource
import sys
import threading
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]

from mutations import mutate  # noqa: E402
from targets import TARGETS, Target  # noqa: E402

from fer_edge.benchmarks.process_memory import peak_mib  # noqa: E402
from fer_edge.edge.errors import FerEdgeError  # noqa: E402

SPACE = 6 << 30
"""Bytes of address space; a reader that takes more has a MemoryError, which is a finding."""

LINE = 2000
"""Bytes that an error may have."""


def case_bytes(seeds: list[bytes], target: str, seed: int, number: int) -> bytes:
    """The input of a case, the same on every machine."""
    rng = random.Random(f"{seed}/{target}/{number}")
    return mutate(rng.choice(seeds), seeds, rng)


def problem(target: Target, data: bytes, folder: Path) -> str | None:
    """What is wrong with how an input is read; None where it is read, or refused with a clear error."""
    try:
        target.read(data, folder)
    except FerEdgeError as error:
        message = str(error)
        if "\n" in message or len(message.encode(errors="surrogatepass")) > LINE or not message.isprintable():
            return f"unclear error: {message[:300]!r}"
    except Exception:
        return traceback.format_exc(limit=-6)
    return None


def main() -> None:
    name, seed, first, end, progress = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
    in_threads: list[str] = []
    threading.excepthook = lambda failure: in_threads.append(
        "".join(traceback.format_exception(failure.exc_type, failure.exc_value, failure.exc_traceback, limit=-6))
    )
    target: Target = TARGETS[name]
    with open(progress, "r+b") as file, mmap.mmap(file.fileno(), 8) as running, TemporaryDirectory() as folder:
        seeds = target.seeds()
        for number in range(first, end):
            running[:8] = number.to_bytes(8, "little")
            found = problem(target, case_bytes(seeds, name, seed, number), Path(folder)) or next(iter(in_threads), None)
            in_threads.clear()
            if found:
                report({"case": number, "problem": found})
    report({"peak_mib": peak_mib()})
    sys.stdout.flush()
    os._exit(0)  # threads of a server or a broker may still run


def report(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
