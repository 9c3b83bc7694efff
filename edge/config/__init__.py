"""fer-edge.toml: where it is found, how it is checked, an example to start from."""
