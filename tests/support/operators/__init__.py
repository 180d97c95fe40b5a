"""Cases of every operator, and the harness that compares them with finite differences."""
