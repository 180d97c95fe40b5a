"""This module holds graftcam's version: the one place that says it.

The wheel's metadata, ``graftcam --version``, artifacts and bills of materials read it here.
"""

__version__ = "0.1.0"
