"""The commands `convert` and, of the group `models`, label, measure, onnx and sensitivity."""
