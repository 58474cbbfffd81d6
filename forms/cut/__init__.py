"""From a located page to crops for the model: cells straightened, cleaned, normalised.

A page's pixels and the transform that places the template flow in, crops flow out. ``cells`` cuts
pages, ``inks`` finds what is written in the cells; ``normalise`` makes a crop the same way for
training and for serving, and ``crops`` does the same to all cells of a page at once. ``recut`` cuts
pictures of fields for people.
"""
