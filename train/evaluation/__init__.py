"""Metrics, figures and reports of a classifier; Keras is imported only where a float network is opened."""
