"""The hook for other people's Flask sites: one object, and every page view is recorded.

    analytics = Analytics(app, redis_url="redis://...", secret_key="...")              # maicivy's Redis is near
    analytics = Analytics(app, url="https://stats.example.org", token="...")           # maicivy is elsewhere

The visitor's browser gets no script and no cookie, and the request waits for nothing: it appends to a list in memory,
and one thread per process carries the list away. docs/tracking.md is the manual; `options.Options` lists what can be
set. Importing this needs flask, redis and msgspec only: no gevent, no celery, no SQLAlchemy.
"""

from maicivy.tracking.analytics import Analytics

__all__ = ["Analytics"]
