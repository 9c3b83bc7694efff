"""`fer-edge bench detection`: face detectors on composed scenes and on pictures without a face."""
