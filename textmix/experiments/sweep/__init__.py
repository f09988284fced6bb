"""A search for the options that do best on validation data."""
