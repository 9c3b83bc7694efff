"""Fit an ensemble's weights, temperature, class offsets and early exit on a labelled split; numpy alone."""
