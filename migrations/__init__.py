"""The history of the database schema: one file per step in `versions`, run by `maicivy db`."""
