"""Loops over the pixels of cells, compiled by Numba: the same results as NumPy's, in less time.

Stacks of cells flow in, their ink and crops flow out. ``forms.cut`` enters, in processes that have
called `enable`: engines, which read pages for hours. Elsewhere NumPy and OpenCV do the same, since
compiling takes some seconds and Numba some memory; a test compares both bit by bit.
"""

from inkmill.forms.kernels.compiling import are_compiled, disable, enable, enabled

__all__ = ["are_compiled", "disable", "enable", "enabled"]
