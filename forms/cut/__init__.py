"""From a located page to crops for the model: straightened, cleaned, normalised cells.

``cells`` cuts pages, ``normalise`` makes a crop the same way for training and serving.
"""
