"""The entry point of the console script: from its first line on, Ctrl-C ends the process without a traceback."""

import _signal  # type: ignore[import-not-found]  # the interpreter's own: `signal` takes a millisecond or two, in which Ctrl-C would be printed

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:  # not ignored, as in the background of a script
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


def main() -> None:
    """Run `fer-edge`."""
    from importlib import import_module  # here, as the import takes most of the start

    import_module("fer_edge.edge.cli").main()
