"""Tortie: routed networking and label-based security for containers, virtual machines and hosts."""

__version__ = "0.1.0"
