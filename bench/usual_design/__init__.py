"""The design that most people would write with the same libraries, as the honest comparison: one `delay()` per event.

A Flask route checks the event and hands it to Celery; the worker inserts it, commits, and then raises counters in
Redis. It has everything that careful people add: late acknowledgement, rejection when a worker process is lost,
retries with backoff, an id that is stored once, counters that are raised only for a new row, and a 503 when the broker
is away. It is told where to work by DATABASE_URL and REDIS_URL:

    celery -A bench.usual_design.tasks worker --concurrency 1
    gunicorn -k gevent -w 1 bench.usual_design.app:application

What it stores is easy to check: a row of table `events` per event, and the Redis counter `events:total`.
"""
