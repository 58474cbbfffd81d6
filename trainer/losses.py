"""What a training minimises: cross entropy for crops, CTC for strips."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from inkmill.trainer.config import Config
from inkmill.trainer.strings.material import NOTHING


def losses(config: Config, logits: Any, labels: Any, weights: Any = None) -> tuple[Any, Any]:
    """The loss of each sample, float32 (n,), and whether its first reading is right, bool (n,).

    ``logits`` are the network's; ``labels`` int32, (n,) for crops, (n, symbols) for strips, with
    ``NOTHING`` after the last. ``weights`` float32 (classes,) are those of the classes of crops.
    """
    if config.reads_strips:
        return _ctc(logits, labels)
    classes, smoothing = len(config.classes), config.training.label_smoothing
    targets = tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
    each = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
    if weights is not None:
        each *= tf.gather(tf.constant(weights), labels)
    return each, tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)


def _ctc(logits: Any, labels: Any) -> tuple[Any, Any]:
    """Graves et al., Connectionist temporal classification (2006); the blank is the last output.

    TensorFlow computes it in C++ for sparse labels, several times as fast as for dense ones, but
    takes no empty ones: those are given a symbol, and their loss is replaced.
    """
    frames = tf.transpose(logits, (1, 0, 2))
    lengths = tf.fill([tf.shape(logits)[0]], tf.shape(logits)[1])
    empty = labels[:, 0] == NOTHING
    filled = tf.where(empty[:, None] & (tf.range(tf.shape(labels)[1]) == 0), 0, labels)
    places = tf.where(filled != NOTHING)
    each, _ = tf.raw_ops.CTCLoss(
        inputs=frames,
        labels_indices=places,
        labels_values=tf.gather_nd(filled, places),
        sequence_length=lengths,
        # A strip too narrow for its text cannot be learnt; it must not end the training.
        ignore_longer_outputs_than_inputs=True,
    )
    silent = -tf.reduce_sum(tf.nn.log_softmax(logits)[..., -1], axis=1)
    return tf.where(empty, silent, each), _is_read(frames, lengths, labels)


def _is_read(frames: Any, lengths: Any, labels: Any) -> Any:
    """Whether the best path of each strip says its label: bool (n,)."""
    read = tf.nn.ctc_greedy_decoder(frames, lengths)[0][0]
    wide = tf.maximum(tf.shape(labels)[1], tf.cast(tf.reduce_max(read.dense_shape), tf.int32))
    shape = tf.cast(tf.stack([tf.shape(labels)[0], wide]), tf.int64)
    # Counted from 1, so that nothing is 0.
    found = tf.scatter_nd(read.indices, read.values + 1, shape)
    more = [[0, 0], [0, wide - tf.shape(labels)[1]]]
    expected = tf.pad(labels, more, constant_values=NOTHING)
    return tf.reduce_all(found == tf.cast(expected, tf.int64) + 1, axis=1)
