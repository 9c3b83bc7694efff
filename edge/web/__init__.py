"""The live page of `fer-edge run --web`: a small HTTP server in a thread of its own; needs the extra `web`."""
