"""Run all checks of tests/device/debian.sh's machine one after another, or those of CHECKS that are named.

`make test-device` runs it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKS = ("returning", "service", "libcamera", "pipelines")

if __name__ == "__main__":
    failures = []
    for name in sys.argv[1:] or CHECKS:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, str(Path(__file__).with_name(f"check_{name}.py"))]).returncode:
            failures.append(name)
    print(f"failed: {', '.join(failures)}" if failures else "all checks passed", flush=True)
    sys.exit(1 if failures else 0)
