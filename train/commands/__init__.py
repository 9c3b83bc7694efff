"""The commands `data`, `train`, `runs`, `evaluate` and `ensemble`."""
