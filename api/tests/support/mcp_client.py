"""Log in, list the tools of an MCP server and call one, with PyPI's SDK.

Arguments: the server's address, issuer, client id, and a client secret or a private key.
"""

import asyncio
import json
import sys

import httpx2
from mcp import ClientSession
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
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


def provider_of(
    url: str, storage: Storage, issuer: str, client_id: str, credential: str
) -> ClientCredentialsOAuthProvider | PrivateKeyJWTOAuthProvider:
    if not credential.startswith("-----BEGIN"):
        return ClientCredentialsOAuthProvider(
            url, storage, client_id=client_id, client_secret=credential, issuer=issuer
        )
    signed = SignedJWTParameters(
        issuer=client_id, subject=client_id, signing_key=credential, signing_algorithm="ES256"
    )
    return PrivateKeyJWTOAuthProvider(
        url,
        storage,
        client_id=client_id,
        assertion_provider=signed.create_assertion_provider(),
        issuer=issuer,
    )


async def main(url: str, issuer: str, client_id: str, credential: str) -> None:
    storage = Storage()
    provider = provider_of(url, storage, issuer, client_id, credential)
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
