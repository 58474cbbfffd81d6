"""Training data: labelled images of many kinds flow in, samples and their split flow out.

``readers`` has one reader for each kind of source (``idx``, ``labelled_files``, ``regions``,
``strips``, ``strokes``, ``voc``), ``samples`` defines what they return, and ``split`` divides it.
An image that cannot be used is reported, never dropped.
"""
