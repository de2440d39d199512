"""Where resources live: one contract, drivers that do not know each other, and one ordered stream of changes."""
