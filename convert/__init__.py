"""Float networks to int8 TFLite files: equalize, calibrate, fine-tune with fake quantization, export, verify."""
