"""Property tests have no deadline, for a busy machine must not fail them. `--hypothesis-profile long` looks deeper."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("core", _PATIENT)
settings.register_profile("long", _PATIENT, max_examples=5000)

if settings.get_current_profile_name() != "long":
    settings.load_profile("core")
