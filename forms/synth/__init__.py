"""Synthetic scans with known truth: forms printed, filled by hand, degraded, encoded."""
