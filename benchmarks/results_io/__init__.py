"""Result files: writing and reading them, intervals, machine facts, tables."""
