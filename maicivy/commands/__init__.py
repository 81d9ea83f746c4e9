"""Commands of `maicivy/cli.py` that are only a way to call a use case."""
