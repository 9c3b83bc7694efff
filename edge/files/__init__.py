"""Files: names, writing whole or not at all, and documents within limits."""
