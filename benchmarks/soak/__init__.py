"""A run with everything on for a long time: does memory grow, are descriptors lost, do frames get slower?"""
