"""The live page of `fer-edge run --web`: a small server in a thread of its own, needing the extra `web`."""
