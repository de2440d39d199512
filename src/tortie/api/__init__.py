"""The `projectcalico.org/v3` resources: one file a kind, with fields, defaults and validation as tables."""
