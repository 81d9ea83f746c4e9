"""Every error that maicivy raises on purpose, in one tree.

An error carries fields, not prose: what a client reads is made from them in `web/errors.py`, which alone knows
HTTP statuses. Driver errors are converted to these once, in `storage/`, and never travel further up.
"""

from __future__ import annotations


class MaicivyError(Exception):
    """Root of the tree; catching it catches whatever maicivy itself refused."""


class SettingsError(MaicivyError):
    """The environment is not usable. `problems` lists every fault found, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Refusal(MaicivyError):
    """Outside data that is refused for good: sending the same thing again brings the same answer.

    `code` is stable and comes from a closed set (`core.gate.REASONS` for events, `invalid_parameter` and
    `missing_parameter` for queries); `message` is for people; `field` names the culprit where there is one.
    """

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


class RateLimited(MaicivyError):
    """One client sent more than its share; `retry_after_s` whole seconds from now it may go on."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"retry after {retry_after_s} s")
        self.retry_after_s = retry_after_s


class DatabaseTooNew(MaicivyError):
    """The database was migrated by a later maicivy, to a `revision` that this one does not know."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"the database is at revision {revision}, which this version of maicivy does not know: "
            "run the version that made it, or restore a backup from before"
        )
        self.revision = revision


class Unavailable(MaicivyError):
    """Something that maicivy depends on does not answer; the same request may succeed later.

    `part` is one of `redis`, `postgres`, `broker`; `reason` says what was seen.
    """

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"{part}: {reason}")
        self.part = part
        self.reason = reason


class InboxFull(MaicivyError):
    """The inbox holds as many bytes as it may; the worker is behind or dead."""


class RejectedByDatabase(MaicivyError):
    """Postgres refused a batch because of its data, not because of its state; sending it again cannot help."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class GeoUnusable(MaicivyError):
    """No database of places could be had from `source`; what was in use stays in use. `reason` says what was seen."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason
