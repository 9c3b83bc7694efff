"""fer-edge as a program: its entry point, signals, and streams that a shell may have closed."""
