"""Data sets, architectures, the training loop and evaluation of the float models."""
