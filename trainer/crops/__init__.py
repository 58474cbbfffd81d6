"""Training crops: from prepared samples to augmented crops, reproducible by number.

Samples flow in, blocks of crops with labels flow out. ``blocks`` is the entrance; ``material``
holds the prepared samples that many processes map. Ink is cut out once (``stamps``), warped and
redrawn (``augment``), put on paper and scanned (``paper``); ``square`` draws digits along guides,
``negatives`` everything that is not a digit.
"""
