"""fer-edge as a systemd service."""
