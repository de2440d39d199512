"""Probes: real packets between all pairs at once, and what became of each."""
