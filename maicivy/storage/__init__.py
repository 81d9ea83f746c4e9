"""Adapters to Postgres and Redis: the only code that speaks SQL or Redis."""
