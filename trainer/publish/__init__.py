"""From trained weights to a published model: calibrated, gated, with its card."""
