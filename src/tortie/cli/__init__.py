"""The tortie command: argument parsing and presentation only."""
