"""The Python SDK before version 2, for `drive.py`: speaks only the legacy protocol."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version

import httpx
from mcp import ClientSession, McpError
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitResult
from pydantic import AnyUrl


def describe(error):
    if isinstance(error, McpError):
        return {"code": error.error.code, "message": error.error.message, "data": error.error.data}
    if isinstance(error, httpx.HTTPStatusError):
        return {"code": "http", "status": error.response.status_code, "message": str(error)}


class Session:
    def __init__(self, session, hello, shown):
        self.session, self.shown = session, shown
        self.hello = {
            "client": f"python mcp {version('mcp')}",
            "protocolVersion": hello.protocolVersion,
            "serverInfo": hello.serverInfo.model_dump(exclude_none=True),
        }

    async def tools(self, cursor):
        page = await self.session.list_tools(cursor)
        return [tool.name for tool in page.tools], page.nextCursor

    async def call(self, tool, arguments, timeout, on_progress):
        result = await self.session.call_tool(
            tool,
            arguments,
            read_timeout_seconds=timedelta(seconds=timeout),
            progress_callback=on_progress,
        )
        return {
            "content": result.content,
            "isError": bool(result.isError),
            "structured": result.structuredContent,
            "meta": result.meta,
        }

    async def offers(self):
        resources = await self.session.list_resources()
        templates = await self.session.list_resource_templates()
        prompts = await self.session.list_prompts()
        return {
            "resources": [str(one.uri) for one in resources.resources],
            "templates": [one.uriTemplate for one in templates.resourceTemplates],
            "prompts": [one.name for one in prompts.prompts],
        }

    async def read(self, uri):
        return [part.text for part in (await self.session.read_resource(AnyUrl(uri))).contents]

    async def prompt(self, name, arguments):
        result = await self.session.get_prompt(name, arguments)
        return [said.content.text for said in result.messages]


@asynccontextmanager
async def streams_to(plan, timeout):
    if "command" in plan:
        command, *arguments = plan["command"]
        async with stdio_client(StdioServerParameters(command=command, args=arguments)) as streams:
            yield streams
        return
    token = plan.get("token")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(headers=headers, timeout=timeout) as client:
        async with streamable_http_client(plan["url"], http_client=client) as (read, write, _):
            yield read, write


@asynccontextmanager
async def connect(plan, timeout):
    shown = []

    async def show(_context, params):
        shown.append(params.url)
        return ElicitResult(action=plan["pages"])

    callback = show if "pages" in plan else None
    async with (
        streams_to(plan, timeout) as (read, write),
        ClientSession(read, write, elicitation_callback=callback) as session,
    ):
        yield Session(session, await asyncio.wait_for(session.initialize(), timeout), shown)
