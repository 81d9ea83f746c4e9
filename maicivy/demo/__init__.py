"""A small CV site that records itself through the hook, and visitors for it: what `maicivy up --demo` shows.

It is a site like any other: its own Flask application, which knows maicivy only as `maicivy.tracking` and as URLs.
`mount.py` puts it beside maicivy in one web process, `simulate.py` sends people there.
"""
