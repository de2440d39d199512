"""Changes of resources in, differences of desired state out. Pure: no I/O, no clock."""
