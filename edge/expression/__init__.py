"""From face crops to expression scores: classifier, ensemble, early exit, score cache, smoothing."""
