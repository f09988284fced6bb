"""Files: atomic writing, run directories, locks, installed packages, and private names of libraries."""
