"""Whole clusters in network namespaces on one machine, with real processes and real packets."""
