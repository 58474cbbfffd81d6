"""From what the user named to chunks in the store.

``sources`` finds the images, ``pack`` turns them into items and chunks, ``upload`` stores and
offers them to the queue.
"""
