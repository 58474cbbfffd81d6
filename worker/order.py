"""In which order a worker looks into its queues."""

from __future__ import annotations

from collections.abc import Iterable

from inkmill import names


class WeightedOrder:
    """Queue order: high first, but every 4th turn starts with normal and every 16th with low.

    Within a priority, jobs of a single chunk go before the chunks of larger ones in four turns of
    five. An empty queue passes its turn on, so that no turn is wasted.
    """

    def __init__(self, items: Iterable[str] = ()) -> None:
        self._turn = 0
        self.update(items)

    def update(self, items: Iterable[str]) -> None:
        served = set(items)
        found = [[q for q in names.queues(each) if q in served] for each in names.PRIORITIES]
        self._priorities = [queues for queues in found if queues]

    def consume(self, count: int) -> list[str]:
        self._turn += 1
        first = 2 if self._turn % 16 == 0 else 1 if self._turn % 4 == 0 else 0
        order = list(self._priorities)
        if first < len(order):
            order.insert(0, order.pop(first))
        step = -1 if self._turn % 5 == 2 else 1
        return [queue for queues in order for queue in queues[::step]][:count]

    def rotate(self, last_used: str) -> str:
        return last_used
