"""BIRD as a target: configuration from desired state, control socket, status."""
