"""Staff sessions whose rows hold no key: a stolen database signs nobody in."""

import hashlib
from typing import Any

from django.contrib.sessions.backends import db
from django.utils import timezone

SWEPT_AT_ONCE = 10  # expired rows that go with each new session


class SessionStore(db.SessionStore):
    """Django's database sessions; a row holds the SHA-256 of the key that the cookie holds.

    A fast hash is enough, because a key is random. Rows from before this rule match no key.
    """

    def load(self) -> dict[str, Any]:
        found = self.model.objects.filter(
            session_key=_digest(self.session_key), expire_date__gt=timezone.now()
        ).first()
        if found is None:
            self._session_key = None
            return {}
        return dict(self.decode(found.session_data))

    def exists(self, session_key: str) -> bool:
        return bool(super().exists(_digest(session_key)))

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        session = super().create_model_instance(data)
        session.session_key = _digest(session.session_key)
        return session

    def create(self) -> None:
        """Begin a session, and delete a few that have expired: no row waits for `clearsessions`."""
        super().create()
        expired = self.model.objects.filter(expire_date__lt=timezone.now())
        some = list(expired.values_list("pk", flat=True)[:SWEPT_AT_ONCE])
        self.model.objects.filter(pk__in=some).delete()

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key:
            super().delete(_digest(key))


def _digest(key: str | None) -> str:
    """Return 40 hexadecimal digits, which is what the column holds: 160 bits of the SHA-256."""
    return hashlib.sha256((key or "").encode()).hexdigest()[:40]
