"""The command line: one small file for each command. Importing it loads no torch."""
