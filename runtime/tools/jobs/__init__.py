"""A job explains a folder of images; its table and overlays are the same on every engine.

``find`` lists the images, ``run`` distributes them in batches and records the results, ``work``
converts the paths of a batch to files and rows, and ``table`` stores the rows. An engine decides
where the work is done: in this process, or on Ray.
"""
