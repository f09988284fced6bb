"""Every option of a run as a dataclass, read from YAML and the command line. Imports no torch."""
