"""TFLite external delegates: shared libraries that run part of a graph, such as an NPU's or a vendor's."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.edge.errors import ModelError

EXPECTED = "expected LIBRARY[:key=value…], the library of a TFLite external delegate"

SYMBOLS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")
"""What such a library exports (TFLite's external_delegate_interface.h)."""

_KEY = re.compile(r"[:,;](?=[A-Za-z_][\w.-]*=)")
"""Where an option begins, so that a value may hold a colon or a comma: device=usb:0, backends=CpuAcc,CpuRef."""

_MACHINES = {3: "32-bit x86", 8: "MIPS", 40: "32-bit Arm", 62: "x86-64", 183: "64-bit Arm", 243: "RISC-V"}
"""Processors by the number in an ELF file's header."""


@dataclass(frozen=True)
class Delegate:
    """A loaded delegate, for one interpreter.

    Attributes:
        name: The library's file name.
        handle: The runtime's delegate object, which must live as long as the interpreter.
    """

    name: str
    handle: Any

    def apply(self, interpreter: Any) -> None:
        """Give the delegate the operators that it takes of an interpreter's graph.

        Args:
            interpreter: The runtime's interpreter, before its tensors are allocated. Its constructor would apply the
                delegate as well, but before the input could be resized.

        Raises:
            RuntimeError, ValueError: The delegate refuses the graph.
        """
        interpreter._delegates = [self.handle]
        interpreter._interpreter.ModifyGraphWithDelegate(self.handle._get_native_delegate_pointer())


def parse_delegate(text: str) -> tuple[str, dict[str, str]]:
    """Split LIBRARY[:key=value…] into the library and its options.

    Args:
        text: A path, or a name that the system's loader finds, such as libedgetpu.so.1; then the delegate's options,
            each after a colon, comma or semicolon.

    Returns:
        The library, and the options' values by key.

    Raises:
        ModelError: There is no library, or a key comes twice.
    """
    library, *pairs = _KEY.split(text)
    options: dict[str, str] = {}
    for key, _, value in (pair.partition("=") for pair in pairs):
        if key in options:
            raise ModelError(f"--delegate {text}: {key} is given twice; {EXPECTED}")
        options[key] = value
    if not library:
        raise ModelError(f"--delegate {text}: no library; {EXPECTED}")
    return library, options


def find_delegate(text: str) -> tuple[str, dict[str, str]]:
    """Find a delegate's library, and check that it is one.

    Args:
        text: LIBRARY[:key=value…].

    Returns:
        The library, as the loader finds it, and the delegate's options.

    Raises:
        ModelError: The library is missing, for another processor, or no delegate.
    """
    library, options = parse_delegate(text)
    if Path(library).exists():
        library = str(Path(library).resolve())  # without a slash the loader would search the system's folders only
    _check(library)
    return library, options


def load_delegate(text: str, module: Any) -> Delegate:
    """Load a delegate with its options.

    Args:
        text: LIBRARY[:key=value…].
        module: The runtime's interpreter module.

    Returns:
        The delegate, for one interpreter.

    Raises:
        ModelError: The library is missing, for another processor, or no delegate; or it refuses its options, or finds
            no device.
    """
    library, options = find_delegate(text)
    name = Path(library).name
    try:
        return Delegate(name, module.load_delegate(library, options))
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).partition("\n")[2].split()) or "it gives no reason"
        given = ", ".join(f"{key}={value}" for key, value in options.items()) or "none"
        raise ModelError(f"delegate {name} does not start: {reason} (options: {given})") from None


def _check(library: str) -> None:
    """Raise ModelError where a library is none of a delegate; the runtime would print a traceback besides."""
    machine = _machine(Path(library))
    own = _machine(Path("/proc/self/exe"))
    if machine is not None and own is not None and machine != own:
        names = (_MACHINES.get(each, f"another processor ({each})") for each in (machine, own))
        raise ModelError("delegate {} is for {}, this Python for {}".format(Path(library).name, *names))
    try:
        loaded = ctypes.PyDLL(library)
    except ValueError:  # the error's text holds the name
        raise ModelError(f"--delegate: {library}: its name is not UTF-8, or it is no library; {EXPECTED}") from None
    except OSError as error:
        raise ModelError(f"--delegate: {str(error).splitlines()[0]}; {EXPECTED}") from None
    missing = [symbol for symbol in SYMBOLS if not hasattr(loaded, symbol)]
    if missing:
        raise ModelError(f"{library} is no TFLite delegate: it lacks {missing[0]}; {EXPECTED}")


def _machine(path: Path) -> int | None:
    """The processor that an ELF file is for; None where the file cannot be read or is none."""
    try:
        with path.open("rb") as stream:
            header = stream.read(20)
    except OSError:
        return None
    if len(header) < 20 or header[:4] != b"\x7fELF":
        return None
    return int.from_bytes(header[18:20], "little" if header[5] == 1 else "big")
