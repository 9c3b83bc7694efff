"""Video files that stay playable whatever ends the program: encoders, and containers that grow by whole pictures."""
