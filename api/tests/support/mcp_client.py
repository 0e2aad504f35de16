"""Log in, list the tools of an MCP server and call one, with PyPI's SDK.

Arguments: the server's address, issuer, client id, client secret.
"""

import asyncio
import json
import sys

import httpx2
from mcp import ClientSession
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from mcp.types import TextContent


class Storage:
    """What the SDK keeps, in memory."""

    tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        raise AssertionError("The client is known already.")


async def main(url: str, issuer: str, client_id: str, secret: str) -> None:
    storage = Storage()
    provider = ClientCredentialsOAuthProvider(
        url, storage, client_id=client_id, client_secret=secret, issuer=issuer
    )
    async with (
        httpx2.AsyncClient(auth=provider) as http,
        streamable_http_client(url, http_client=http) as (read, write),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        result = await session.call_tool("add", {"a": 2, "b": 3})
        (content,) = result.content
        assert isinstance(content, TextContent)
        assert storage.tokens
        print(json.dumps([tools, content.text, storage.tokens.access_token]))  # noqa: T201


asyncio.run(main(*sys.argv[1:]))
