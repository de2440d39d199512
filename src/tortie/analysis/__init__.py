"""What the compiled form of policy means: for sets of packets, for whole clusters, before and after a change. Pure."""
