"""Data sets as arrays: FER2013's CSV and class folders, without Keras."""
