"""A package, so that the maicivy which its tests share is stopped after the last of them, not of the session."""
