"""Loops over pixels, compiled by Numba: the same results as NumPy's and OpenCV's, in less time.

Pages flow in, and their overviews flow out; stacks of cells, and their ink and crops. ``forms.cut``
and ``forms.locate`` enter, in processes that have called `enable`: engines, which read pages for
hours. Elsewhere NumPy and OpenCV do the same, since compiling takes some seconds and Numba some
memory; a test compares both bit by bit.
"""

from inkmill.forms.kernels.compiling import are_compiled, disable, enable, enabled

__all__ = ["are_compiled", "disable", "enable", "enabled"]
