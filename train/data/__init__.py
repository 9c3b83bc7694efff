"""Data sets as arrays: FER2013's CSV and class folders. Nothing here imports Keras."""
