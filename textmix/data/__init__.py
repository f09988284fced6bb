"""From files, hub data sets and built-in corpora to tokenised, split data sets."""
