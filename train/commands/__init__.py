"""The commands `data`, `train`, `evaluate` and `ensemble`."""
