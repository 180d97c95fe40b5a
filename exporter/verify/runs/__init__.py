"""Running artifacts: their inputs, the matrix of runs, and what those runs give."""
