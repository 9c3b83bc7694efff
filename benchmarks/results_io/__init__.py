"""Result files: record, intervals, the machine measured on, tables."""
