"""From samples to training crops: augmented, drawn on paper, negatives, in blocks."""
