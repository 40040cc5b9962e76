"""No test of the format asserts a time: a loaded machine must not fail it."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("outlast", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("outlast")
