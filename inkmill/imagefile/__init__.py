"""Image files by their headers: format, size, pages, wholeness. No pixels are decoded.

``sniff`` is the entrance; the other modules read one format each. Producers use it without OpenCV,
and workers refuse a file here before a decoder allocates memory for it.
"""
