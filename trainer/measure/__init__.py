"""A model measured: evaluation, figures, robustness, pictures."""
