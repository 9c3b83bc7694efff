"""TFLite files: interpreter, quantization, labels and the model card."""
