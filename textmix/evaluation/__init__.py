"""Arrays in, numbers and reports out."""
