"""What a fleet costs its broker: devices that replay the recorded messages of a run."""
