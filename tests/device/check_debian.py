"""All that tests/device/debian.sh's machine can show, one check after another: `make test-device`.

With names, those of CHECKS alone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKS = ("returning", "service", "libcamera", "pipelines")

if __name__ == "__main__":
    bad = []
    for name in sys.argv[1:] or CHECKS:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, str(Path(__file__).with_name(f"check_{name}.py"))]).returncode:
            bad.append(name)
    print(f"failed: {', '.join(bad)}" if bad else "all of them passed", flush=True)
    sys.exit(1 if bad else 0)
