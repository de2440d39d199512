"""Programs that the kernel runs on packets: an assembler, and what asks the kernel to take them."""
