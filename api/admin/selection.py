"""What staff select in a list."""

import re
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

_KEY = re.compile(r"[0-9]{1,18}")


class CheckedSelection(admin.ModelAdmin):  # type: ignore[type-arg]
    """Answers 400 if something selected is no key of a row."""

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Refuse keys that no row can have. Django would answer 500."""
        if not all(map(_KEY.fullmatch, request.POST.getlist(ACTION_CHECKBOX_NAME))):
            raise BadRequest
        return super().response_action(request, queryset)
