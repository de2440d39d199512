"""Encrypted tunnels between nodes: devices, keys, peers, routes."""
