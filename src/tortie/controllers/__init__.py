"""Cluster-wide loops: one process leads, the others stand by."""
