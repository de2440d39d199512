"""The demonstration: a three-tier application on three hosts, with real packets."""
