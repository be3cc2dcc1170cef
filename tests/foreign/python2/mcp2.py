"""The Python SDK from version 2 on, for `drive.py`: speaks both eras."""

from contextlib import asynccontextmanager
from importlib.metadata import version

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitResult


def describe(error):
    if isinstance(error, MCPError):
        return {"code": error.code, "message": error.message, "data": error.data}
    if isinstance(error, httpx2.HTTPStatusError):
        return {"code": "http", "status": error.response.status_code, "message": str(error)}


def told(result):
    return {
        "content": result.content,
        "isError": bool(result.is_error),
        "structured": result.structured_content,
        "meta": result.meta,
    }


class Session:
    name = f"python mcp {version('mcp')}"

    def __init__(self, client, shown):
        self.client, self.shown = client, shown
        info = client.server_info
        self.hello = {
            "client": self.name,
            "protocolVersion": client.protocol_version,
            "serverInfo": info and info.model_dump(exclude_none=True),
        }

    async def tools(self, cursor):
        # Asked anew each time: the client may keep a list that is called public.
        page = await self.client.list_tools(cursor=cursor, cache_mode="refresh")
        return [tool.name for tool in page.tools], page.next_cursor

    async def call(self, tool, arguments, timeout, on_progress):
        result = await self.client.call_tool(
            tool, arguments, read_timeout_seconds=timeout, progress_callback=on_progress
        )
        return told(result)

    async def offers(self):
        resources = await self.client.list_resources(cache_mode="refresh")
        templates = await self.client.list_resource_templates(cache_mode="refresh")
        prompts = await self.client.list_prompts(cache_mode="refresh")
        return {
            "resources": [str(one.uri) for one in resources.resources],
            "templates": [one.uri_template for one in templates.resource_templates],
            "prompts": [one.name for one in prompts.prompts],
        }

    async def read(self, uri):
        return [part.text for part in (await self.client.read_resource(uri)).contents]

    async def prompt(self, name, arguments):
        result = await self.client.get_prompt(name, arguments)
        return [said.content.text for said in result.messages]


@asynccontextmanager
async def server_of(plan, timeout):
    if "command" in plan:
        command, *arguments = plan["command"]
        yield StdioServerParameters(command=command, args=arguments)
        return
    token = plan.get("token")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(headers=headers, timeout=timeout) as client:
        yield streamable_http_client(plan["url"], http_client=client)


def shower_of(plan, shown):
    """What notes which page it is asked to show, and does what the plan says; if the plan has pages."""

    async def show(_context, params):
        shown.append(params.url)
        return ElicitResult(action=plan["pages"])

    return show if "pages" in plan else None


@asynccontextmanager
async def connect(plan, timeout):
    mode, shown = plan.get("protocol", "auto"), []
    show = shower_of(plan, shown)
    async with server_of(plan, timeout) as server:
        async with Client(
            server, mode=mode, read_timeout_seconds=timeout, elicitation_callback=show
        ) as client:
            yield Session(client, shown)
