"""Delivery by chance: see tests/delivery.py for the machine, tests/faults for more of it."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.delivery import Delivery

TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
