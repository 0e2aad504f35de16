"""What the OpenAPI document says of each operation."""

from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document, which is the same for every caller and every request."""
    generated: dict[str, Any] = SchemaGenerator().get_schema(public=True)
    return generated
