"""Revoke a client's tokens when it or its API loses a scope, or it is deactivated or becomes staff.

A previous secret ends with them when a client is deactivated or activated. Also note a secret that
Django sets, which is a new one.

A token must not grant a scope that its client lost. After a client is deactivated and activated
again, its old tokens must stay refused. Signals catch every way of Django but one:
`QuerySet.update` sends none. Code that uses it on these columns must call `tokens.revoke_all` too.
"""

from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.db.models.signals import m2m_changed, post_save, pre_delete, pre_save
from django.dispatch import receiver

from api import audit, expiry, tokens
from api.models import ClientKey, ClientProfile, Resource, RetiredSecret, Scope, WorkloadIdentity

_LOSES = "_authdemo_loses"  # set on an instance whose clients lose something by its save
_CHANGES = "_authdemo_changes"  # true on an instance whose save stores another secret
WATCHED = {"is_active", "is_staff", "is_superuser"}


@receiver(m2m_changed, sender=User.groups.through)
def revoke_tokens_with_a_lost_scope(
    instance: User | Group, action: str, pk_set: set[int] | None, **_kwargs: Any
) -> None:
    if action not in {"pre_remove", "pre_clear"}:
        return
    if isinstance(instance, User):
        tokens.revoke_all(User.objects.filter(pk=instance.pk))
    else:
        members = _members(instance)
        tokens.revoke_all(members if pk_set is None else members.filter(pk__in=pk_set))


@receiver(m2m_changed, sender=Resource.scopes.through)
def revoke_tokens_with_a_scope_that_an_api_lost(
    instance: Resource | Group, action: str, pk_set: set[int] | None, **_kwargs: Any
) -> None:
    """An API without scopes understands all, so adding its first one takes all others away."""
    if action not in {"pre_add", "pre_remove", "pre_clear"}:
        return
    if isinstance(instance, Resource):
        resources = Resource.objects.filter(pk=instance.pk)
    else:
        of_group = {"scopes": instance} if pk_set is None else {"pk__in": pk_set}
        resources = Resource.objects.filter(**of_group)
    if action == "pre_add":
        resources = resources.filter(scopes=None)
    tokens.revoke_all(User.objects.filter(resources__in=resources).distinct())


@receiver(pre_delete, sender=Group)
@receiver(pre_delete, sender=Scope)
def revoke_tokens_with_a_deleted_scope(instance: Group, **_kwargs: Any) -> None:
    tokens.revoke_all(_members(instance))


@receiver(pre_save, sender=Group)
@receiver(pre_save, sender=Scope)
def revoke_tokens_with_a_renamed_scope(instance: Group, *, raw: bool, **_kwargs: Any) -> None:
    if not raw and Group.objects.filter(pk=instance.pk).exclude(name=instance.name).exists():
        tokens.revoke_all(_members(instance))
        setattr(instance, _LOSES, True)


@receiver(pre_save)
def revoke_tokens_of_a_switched_client(
    sender: type[Any],
    instance: User,
    *,
    raw: bool,
    update_fields: frozenset[str] | None,
    **_kwargs: Any,
) -> None:
    """Revoke the tokens of a client that is deactivated or activated, and end a previous secret.

    An activation does so too, because a `QuerySet.update` may have deactivated the client. End all
    secrets and keys of a client that becomes staff.
    """
    if raw or not issubclass(sender, User) or instance.pk is None:
        return
    if update_fields is not None and not WATCHED.intersection(update_fields):
        return
    rows = User.objects.filter(pk=instance.pk, is_staff=False, is_superuser=False)
    if instance.is_staff or instance.is_superuser:
        if rows.exists():
            _end_client(rows, instance)
    elif rows.exclude(is_active=instance.is_active).exists():
        tokens.revoke_all(rows)
        RetiredSecret.objects.filter(client__in=rows).delete()
        setattr(instance, _LOSES, not instance.is_active)


@receiver(post_save)
def revoke_tokens_issued_during_a_change(instance: Any, **_kwargs: Any) -> None:
    """Revoke again. A login after the first revocation and before the save saw the old state."""
    if vars(instance).pop(_LOSES, False):
        clients = User.objects.filter(pk=instance.pk)
        tokens.revoke_all(_members(instance) if isinstance(instance, Group) else clients)


@receiver(pre_save)
def notice_another_secret(
    sender: type[Any],
    instance: User,
    *,
    raw: bool,
    update_fields: frozenset[str] | None,
    **_kwargs: Any,
) -> None:
    if raw or not issubclass(sender, User) or instance.is_staff or instance.is_superuser:
        return
    if update_fields is None or "password" in update_fields:
        changed = User.objects.filter(pk=instance.pk).exclude(password=instance.password)
        setattr(instance, _CHANGES, instance.pk is not None and changed.exists())


@receiver(post_save)
def record_another_secret(instance: Any, **_kwargs: Any) -> None:
    """Let a secret that Django has set, by `changepassword` for example, expire as a new one.

    The time changes after the hash. In the other order, an expired secret would be good between.
    """
    if vars(instance).pop(_CHANGES, False):
        expires_at = expiry.choose() if instance.has_usable_password() else None
        expiry.record_new_secret(instance, expires_at)


def _end_client(rows: QuerySet[User], instance: User) -> None:
    """End the credentials and tokens of a client that becomes staff: programs hold them."""
    tokens.revoke_all(rows)
    RetiredSecret.objects.filter(client__in=rows).delete()
    ClientProfile.objects.filter(client__in=rows).update(secret_expires_at=None)
    ClientKey.objects.filter(client__in=rows).delete()
    WorkloadIdentity.objects.filter(client__in=rows).delete()
    instance.password = make_password(None)
    rows.update(password=instance.password)
    audit.record("client_became_staff", client=instance.username)


def _members(group: Group) -> QuerySet[User]:
    return User.objects.filter(groups=group)
