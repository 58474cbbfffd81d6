"""What a training shows of itself: ticks, validation, learning curves.

Losses flow in from the loop (``meter``), figures of the validation part are measured with copies of
the weights (``readings``, remembered by ``validation``), and ``reporter`` writes both to the
terminal, log.jsonl, TensorBoard and a picture.
"""
