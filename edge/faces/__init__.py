"""Frames to faces: detection, patch tracking between detections, track ids, crops."""
