"""What intervals and tests do in simulation: one module a kind, each with its ``CELLS``."""
