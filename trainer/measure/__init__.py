"""Measuring a model on labelled data: figures, pictures, a report.

A predictor and a data set flow in, an `Evaluation` flows out (``evaluate``). ``metrics`` needs
NumPy only; ``plots`` needs matplotlib.
"""
