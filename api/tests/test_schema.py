"""The OpenAPI document and the page that shows it."""

import re

import pytest
from django.contrib.staticfiles import finders
from rest_framework.test import APIClient


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "application/json"),
        ("application/vnd.oai.openapi+json", "application/vnd.oai.openapi+json"),
        ("application/yaml", "application/yaml; charset=utf-8"),
        ("application/vnd.oai.openapi", "application/vnd.oai.openapi; charset=utf-8"),
    ],
)
def test_schema_comes_in_json_and_in_yaml(http: APIClient, accept: str, content_type: str) -> None:
    response = http.get("/schema", headers={"Accept": accept})
    assert (response.status_code, response["Content-Type"]) == (200, content_type)
    opening = b'{\n    "openapi": "3.1.0"' if "json" in content_type else b"openapi: 3.1.0"
    assert response.content.startswith(opening)


def test_docs_page_has_local_assets_and_nothing_inline(http: APIClient) -> None:
    response = http.get("/docs", headers={"Accept": "text/html"})
    page = response.content.decode()
    assert response.status_code == 200
    assert not re.search(r"<style|style=|<script>|javascript:| on\w+=", page)
    assets = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(assets) == 4
    for asset in assets:
        assert asset.startswith("/static/")
        assert finders.find(asset.removeprefix("/static/"))
