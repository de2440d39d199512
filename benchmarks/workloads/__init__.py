"""Clusters to measure with, made up from numbers; the same every time."""
