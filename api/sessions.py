"""Staff sessions. The database stores hashes of session keys, so a stolen copy signs nobody in."""

import hashlib
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends import db
from django.utils import timezone

DELETED_AT_ONCE = 10  # expired rows that each new session deletes


class SessionStore(db.SessionStore):
    """Django's database sessions, stored under the SHA-256 of the key in the cookie.

    A fast hash is enough, because keys are random. Old rows with a plain key match no session.
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
        """Start a session and delete a few expired ones, so nobody has to run `clearsessions`."""
        super().create()
        expired = self.model.objects.filter(expire_date__lt=timezone.now())
        some = list(expired.values_list("pk", flat=True)[:DELETED_AT_ONCE])
        self.model.objects.filter(pk__in=some).delete()

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key:
            super().delete(_digest(key))

    async def aload(self) -> dict[str, Any]:
        return await sync_to_async(self.load)()

    async def aexists(self, session_key: str) -> bool:
        return await sync_to_async(self.exists)(session_key)

    async def acreate_model_instance(self, data: dict[str, Any]) -> Any:
        return await sync_to_async(self.create_model_instance)(data)

    async def adelete(self, session_key: str | None = None) -> None:
        await sync_to_async(self.delete)(session_key)


def _digest(key: str | None) -> str:
    """Return 160 bits of the SHA-256 as 40 hexadecimal digits, the length of the column."""
    return hashlib.sha256((key or "").encode()).hexdigest()[:40]
