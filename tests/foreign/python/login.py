"""A client that finds out by itself where to log in, and does so for a person: `login.py URL PERSON`. What it is told goes to
standard output, one JSON object.

All of OAuth is the SDK's; only the pages that a person would see in a browser are filled in here.
"""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urljoin, urlparse

import httpx
from mcp.client.auth import OAuthClientProvider
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from mcp.shared.auth import OAuthClientMetadata

URL, PERSON = sys.argv[1:]
REDIRECT = "http://127.0.0.1:1/callback"


class Kept:
    """What an SDK has its host keep, in memory."""

    tokens = None
    client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class Browser:
    """What a browser and its person do: log in by name, agree, and come back."""

    async def open(self, page):
        answers = [{"prompt": "login", "login": PERSON, "password": "any"}, {"prompt": "consent"}]
        async with httpx.AsyncClient() as client:
            for _ in range(12):
                if page.startswith(REDIRECT):
                    self.back = parse_qs(urlparse(page).query)
                    return
                if urlparse(page).path.startswith("/interaction/"):
                    answer = await client.post(page, data=answers.pop(0))
                else:
                    answer = await client.get(page)
                page = urljoin(page, answer.headers["location"])
        raise RuntimeError("the provider asks for more and more")

    async def came_back(self):
        return self.back["code"][0], self.back["state"][0]


async def main():
    kept, browser = Kept(), Browser()
    metadata = OAuthClientMetadata(
        client_name="a client of the tests",
        redirect_uris=[REDIRECT],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
        application_type="native",
    )
    auth = OAuthClientProvider(URL, metadata, kept, browser.open, browser.came_back)
    async with streamablehttp_client(URL, auth=auth) as (reads, writes, *_):
        async with ClientSession(reads, writes) as session:
            await session.initialize()
            tools = [tool.name for tool in (await session.list_tools()).tools]

            async def call(name, **arguments):
                result = await session.call_tool(name, {"cloudId": "https://acme.atlassian.net", **arguments})
                return {"isError": result.isError, "text": result.content[0].text}

            fields = {"summary": f"by {PERSON}"}
            calls = [
                await call("getJiraIssue", issueIdOrKey="ENG-42"),
                await call("editJiraIssue", issueIdOrKey="ENG-42", fields=fields),
                await call("editJiraIssue", issueIdOrKey="OPS-7", fields=fields),
            ]
            print(json.dumps({"tools": tools, "calls": calls, "token": kept.tokens.access_token}))


asyncio.run(main())
