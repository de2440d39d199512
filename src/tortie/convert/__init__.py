"""Kubernetes objects to `projectcalico.org/v3` resources. Pure."""
