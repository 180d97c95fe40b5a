"""The checks themselves: against autograd or finite differences, and without a reference."""
