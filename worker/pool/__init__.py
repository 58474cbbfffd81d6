"""The worker's engines as processes: started, given chunks, watched, replaced.

``pool`` is the entrance, ``handle`` one engine seen from the worker.
"""
