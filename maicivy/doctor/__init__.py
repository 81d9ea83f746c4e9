"""`maicivy doctor`: examines a running installation, and says in plain words what is wrong and what to do.

A check looks (`storage/inspection.py`, `web.py`) and then judges what was seen; judging is pure, so each verdict can be
brought about in a test. To add a check, put one line into a table.

findings.py   what a check can say
examine.py    runs checks one after another, each for a bounded time
setup.py      checks of settings and disk
postgres.py   checks of the database
redis.py      checks of Redis, the inbox and the processes that show themselves there
web.py        checks of every URL and the WebSocket
command.py    the command line
"""
