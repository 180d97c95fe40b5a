"""Explaining a folder of images: the same table and overlays whoever does the work.

``find`` lists the images, ``run`` deals them out in batches and records what comes back,
``work`` turns the paths of a batch into files and rows, and ``table`` keeps the rows. An engine
decides where the work is done: in this process, or elsewhere.
"""
