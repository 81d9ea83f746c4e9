"""maicivy: self-hosted, privacy-first, real-time web analytics for Python sites."""

__version__ = "0.1.0"
