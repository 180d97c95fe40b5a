"""Tables of numbers in a graph: which of their entries are boxes, scores or something else."""
