"""YuNet 2023mar from its ONNX file to an int8 .tflite file: read, rewrite, calibrate, export, verify, write."""
