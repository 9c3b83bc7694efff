"""A Markdown table for each kind of result."""
