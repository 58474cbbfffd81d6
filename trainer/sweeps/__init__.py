"""Sweeps: several trainings of one config with other values, compared by their validation loss.

A config's table [sweep] flows into ``trials``, ``work`` carries them out, and the runs' results
flow into ``table``, which ranks them and draws a picture. Trials are runs like any others: the
store of runs knows how far they are.
"""
