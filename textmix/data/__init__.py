"""Data: reads files, hub data sets and built-in corpora, splits them, and tokenises texts."""
