"""Policy in the kernel's nf_tables: what is wanted as rules and sets, what is there, and the way between."""
