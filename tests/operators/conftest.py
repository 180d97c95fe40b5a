"""How many examples Hypothesis makes.

Few examples and always the same; many with another profile:
pytest tests/operators/test_random_graphs.py --hypothesis-profile=long
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Time and rejected examples depend on the machine and on the dice: neither is a failure.
SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

settings.register_profile(
    "short", max_examples=60, derandomize=True, deadline=None, suppress_health_check=SLOW
)
settings.register_profile(
    "long", max_examples=1000, deadline=None, suppress_health_check=SLOW, print_blob=True
)
settings.load_profile("short")
