"""Addresses: planning, and the compare-and-swap loop that carries plans out."""
