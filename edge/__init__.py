"""The device runtime: camera or file to faces to emotions, without TensorFlow."""
