"""What a worker and its engines say to each other, and nothing else that both import.

Frames of JSON and bytes (no pickle), the task, the engine's start-up configuration, and the
position that both share in memory.
"""
