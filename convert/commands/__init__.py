"""The commands `convert`, `convert face-detector` and, of the group `models`, label, measure, onnx and sensitivity."""
