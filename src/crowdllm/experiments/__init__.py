"""Comparisons and studies: each a function from a configuration to a table on disk."""
