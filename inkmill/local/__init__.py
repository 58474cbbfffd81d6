"""Servers and workers as child processes on one machine: a laptop, the demo, the tests.

Nothing here runs in a cluster.
"""
