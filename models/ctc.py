"""Frames to strings: the most probable ones, and how probable each is, by CTC.

Connectionist temporal classification (Graves et al., 2006): each frame says a symbol or the blank;
a string is said by every path that gives it when repeats are merged and blanks left out. A
beam search finds candidates; their probability is then the exact sum over all paths, by the forward
algorithm, which no pruning of the beam can make too small.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
String = tuple[int, ...]

#: Strings that the beam search follows at a time.
_BEAM = 40
#: Symbols less probable than this in a frame are not followed there. They still count in the
#: probabilities, since the forward algorithm leaves out none.
_LEAST = 1e-4
#: Strings this much less probable than the best one are given up: most strips are plain, and
#: following forty strings through each of their frames would be half of the time of reading.
_HOPELESS = 1e-7


def candidates(frames: Floats, most: int = _BEAM) -> list[String]:
    """The most probable strings of a strip, by prefix beam search (Graves, 2012).

    ``frames`` float64 (frames, symbols + 1) are probabilities; the blank is the last. At most
    ``most`` strings of symbols' numbers, among them the empty one, the most probable first.
    """
    blank = frames.shape[1] - 1
    # For each string: the probability of the paths that end in a blank, and of the others.
    beam: dict[String, tuple[float, float]] = {(): (1.0, 0.0)}
    for frame in frames:
        grown: dict[String, list[float]] = {}
        said = np.flatnonzero(frame[:blank] >= _LEAST).tolist()
        values, silent = frame.tolist(), float(frame[blank])
        for string, (ended, going) in beam.items():
            whole, last = ended + going, string[-1] if string else -1
            kept = grown.setdefault(string, [0.0, 0.0])
            kept[0] += whole * silent
            if last >= 0:
                kept[1] += going * values[last]
            for symbol in said:
                longer = grown.setdefault((*string, symbol), [0.0, 0.0])
                longer[1] += (ended if symbol == last else whole) * values[symbol]
        best = sorted(grown.items(), key=lambda each: -sum(each[1]))[:most]
        # Only ratios matter here, and the product over many frames would underflow.
        scale = max(sum(best[0][1]), 1e-300)
        beam = {
            string: (ended / scale, going / scale)
            for string, (ended, going) in best
            if ended + going >= _HOPELESS * scale
        }
    return list(beam)


def probabilities(frames: Floats, strings: Sequence[String]) -> Floats:
    """How probable each string is: float64 (n,), by the forward algorithm.

    ``frames`` as for ``candidates``.
    """
    blank = frames.shape[1] - 1
    longest = max((len(string) for string in strings), default=0)
    # Each string with blanks between its symbols and at both ends; shorter ones end earlier.
    states = np.full((len(strings), 2 * longest + 1), blank, np.int64)
    for row, string in enumerate(strings):
        states[row, 1 : 2 * len(string) : 2] = string
    # A blank may be skipped between symbols that differ.
    skips = np.zeros(states.shape)
    skips[:, 3::2] = states[:, 3::2] != states[:, 1:-2:2]
    # Two columns more on the left, always 0, so that shifts stay inside.
    reached = np.zeros((len(strings), 2 * longest + 3))
    reached[:, 2:4] = frames[0, states[:, :2]]
    for frame in frames[1:]:
        coming = reached[:, 2:] + reached[:, 1:-1] + skips * reached[:, :-2]
        reached[:, 2:] = coming * frame[states]
    ends = 2 + 2 * np.array([len(string) for string in strings], np.int64)
    rows = np.arange(len(strings))
    # Strings end in their last symbol or in the blank after it.
    return np.asarray(reached[rows, ends] + reached[rows, ends - 1])


def calibrated(probabilities: Floats, temperature: float, floor: float) -> Floats:
    """Probabilities (n,) of strings, sharpened or softened, with the rest as one more outcome.

    Temperature acts on the strings, not on frames, whose errors are not independent (Guo et al.,
    2017, divide logits; these are the logits of the strings). ``floor`` is then taken from all of
    them: the probability that a string is wrong however sure the network is.
    """
    rest = max(0.0, 1.0 - float(probabilities.sum()))
    # Above its maximum, 1 over all outcomes, only by rounding.
    outcomes = np.clip(np.append(probabilities, rest), 0.0, 1.0) ** (1.0 / temperature)
    total = float(outcomes.sum())
    if total <= 0:
        return np.zeros(len(probabilities))
    return np.asarray((1.0 - floor) * outcomes[:-1] / total)
