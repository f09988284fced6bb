"""What lies on disk: files written whole or not at all, the names in a run directory, installed packages."""
