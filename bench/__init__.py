"""Measurements that anyone can repeat: ``make bench``, or ``python -m bench A B`` for parts.

frame      repeats, sides in turn, medians; this host in words; processes' CPU and memory
material   the inputs: MNIST as PNG files, A4 pages with 60 cells
bare       the limit: the same work on each image in plain loops, without a queue
pipeline       Inkmill on real servers, with as many engines as asked for
digits     A: throughput of digit images, against the bare loop and the peers
pages      B: throughput of A4 pages
small      C: jobs of one image
million    D and E: a job of a million images, its memory, and small jobs behind it
many       F: many workers whose engines take a fixed time
devices    G: engines that feed a GPU, against the GPU alone and a bare loop on it
reloads    R: new model versions while A runs
profile    P: where the time goes in A and B
peers/     what people would use instead, each in a script of its own
report     docs/explanation/benchmarks.md from the figures in docs/benchmarks/
"""
