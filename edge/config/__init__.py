"""Options from the command line, the environment and fer-edge.toml: how they are declared, checked and listed."""
