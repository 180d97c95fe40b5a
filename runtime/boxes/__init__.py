"""These modules read boxes from a detector's outputs, and choose those that are detections.

In: the outputs of a run with K = 0. Out: `Detections` in pixels of the image. Imports: `inputs`.
"""
