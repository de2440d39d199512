"""The kernel's netlink protocols, packed by hand; knows nothing of policy."""
