"""The board: temperature, throttling, host information, version."""
