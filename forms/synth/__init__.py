"""Synthetic scans with known ground truth: forms printed, filled by hand, degraded, encoded.

A template flows in, files and their truth flow out (``sampling``). For the command line, the tests
and the benchmarks.
"""
