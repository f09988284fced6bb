"""The commands of the command line: a function each, that takes the arguments after the command's name. No torch."""
