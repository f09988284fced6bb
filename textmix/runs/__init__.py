"""One run: trained, evaluated, written to its directory; alone or in several processes."""
