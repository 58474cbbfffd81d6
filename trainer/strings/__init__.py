"""Strings for a strip reader: numbers composed from characters of one hand, on paper, scanned.

Samples of characters and of whole strips flow in, blocks of normalised strips with their symbols
flow out, to ``feed`` and the learner.
"""
