"""Create the runtime's virtual environment; needs Python 3.11 or later and no packages.

    python3 examples/environment.py .venv

On Raspberry Pi OS the camera library comes from apt and cannot be installed by pip. If the system's Python has
picamera2, the environment is made with that Python and includes its packages; on Python 3.11 it then keeps numpy below
2 and OpenCV below 5, because apt's picamera2 is compiled against numpy 1.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SYSTEM_PYTHON = "/usr/bin/python3"
LIBRARIES = {"libGL.so": "libgl1", "libgthread": "libglib2.0-0", "libglib": "libglib2.0-0"}
NEEDED = ("import cv2, numpy, click", "from fer_edge.edge.tflite.interpreter import runtime; runtime()")


def fail(sentence: str) -> None:
    """End with one line on stderr."""
    sys.exit(f"fer-edge: {sentence}")


def works(python: str, code: str) -> bool:
    """Whether this Python interpreter exists and runs the code without an error."""
    try:
        return subprocess.run([python, "-c", code], capture_output=True).returncode == 0
    except OSError:
        return False


def check_python() -> None:
    """Fail unless this Python is 3.11 or later."""
    if sys.version_info < (3, 11):  # noqa: UP036 – older Pythons do run this file
        fail(f"Python is {sys.version.split()[0]}, expected 3.11 or later; select one with make PYTHON=python3.12")


def check_venv(python: str) -> None:
    """Fail unless this Python interpreter can create environments; Debian packages the module separately."""
    if not works(python, "import ensurepip, venv"):
        fail(f"python3-venv is missing for {python}: sudo apt-get install python3-venv")


def has_picamera2(python: str = SYSTEM_PYTHON) -> bool:
    """Whether this Python interpreter is 3.11 or later and imports apt's picamera2."""
    return works(python, "import sys; assert sys.version_info >= (3, 11); import picamera2")


def version(python: str) -> tuple[int, ...]:
    """Major and minor version of a Python interpreter."""
    code = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return tuple(int(part) for part in done.stdout.split())


def constraints(python_version: tuple[int, ...]) -> list[str]:
    """Requirements that keep pip from installing versions which apt's picamera2 was not compiled against."""
    return ["numpy<2", "opencv-python<5"] if python_version < (3, 12) else []


def missing_library(error: str) -> str | None:
    """The error message for an import that failed because a system library is missing; None for other failures."""
    for library, package in LIBRARIES.items():
        if library in error:
            name = library.removesuffix(".so")
            return f"{name} is missing: sudo apt-get install {package}"
    return None


def make(folder: Path) -> None:
    """Create the environment, install the runtime in it, and check that it can be imported."""
    check_python()
    picamera2 = has_picamera2()
    python = SYSTEM_PYTHON if picamera2 else sys.executable
    check_venv(python)
    options = ["--system-site-packages"] if picamera2 else []
    run(python, "-m", "venv", "--clear", *options, str(folder))
    inside = str(folder / "bin" / "python")
    limits = constraints(version(python)) if picamera2 else []
    root = str(Path(__file__).resolve().parent.parent)
    run(inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-e", f"{root}[web]", *limits)
    for code in [*NEEDED, *(["import picamera2"] if picamera2 else [])]:
        done = subprocess.run([inside, "-c", code], capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            fail(missing_library(done.stderr) or f"'{code}' fails in {folder}: {last}")


def run(*command: str) -> None:
    """Run a command; if it fails, end with one line."""
    done = subprocess.run(command)
    if done.returncode:
        fail(f"'{' '.join(command[:4])} …' failed with exit code {done.returncode}; see the lines above")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        fail("expected one argument, the environment's folder, as in: python3 examples/environment.py .venv")
    make(Path(sys.argv[1]))
