"""Says cheaply whether the metadata may have changed, so that nobody reads the store four times a second."""

from __future__ import annotations

from sqlalchemy import Engine


class Changes:
    """On SQLite one pragma (5 us) tells of any commit by another connection; elsewhere every look says yes."""

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.raw_connection() if engine.dialect.name == "sqlite" else None
        self._last: int | None = None

    def seen(self) -> bool:
        """Has anything been committed since the last look? The first look says yes."""
        if self._connection is None:
            return True
        cursor = self._connection.cursor()
        found = cursor.execute("PRAGMA data_version").fetchone()[0]
        cursor.close()
        changed, self._last = found != self._last, found
        return bool(changed)

    def forget(self) -> None:
        """Say yes at the next look."""
        self._last = None

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
