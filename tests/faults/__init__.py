"""The fault suite: whatever is killed, filled, cut off or fed in, nothing is lost or wrong.

Run by ``make test-faults``; each test names the row of
docs/explanation/reliability.md that it fills.
"""
