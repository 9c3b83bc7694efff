"""Predictions on many faces, their metrics, tables and plots. Nothing here imports Keras."""
