"""Addresses, identities, hashes, clocks and errors; imports nothing else of the project."""
