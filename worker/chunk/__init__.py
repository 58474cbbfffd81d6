"""What the worker does with one chunk, from the message to its rows in the store.

``run`` is the entrance. Runs beside Celery, with credentials; images are decoded in the engines.
"""
