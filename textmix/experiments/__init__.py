"""Many runs that answer one question: comparison, cross-validation, search."""
