"""The client of FastMCP, for `drive.py`: speaks both eras."""

from contextlib import asynccontextmanager

import fastmcp
import httpx2
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from mcp import MCPError


def describe(error):
    if isinstance(error, MCPError):
        return {"code": error.code, "message": error.message, "data": error.data}
    if isinstance(error, httpx2.HTTPStatusError):
        return {"code": "http", "status": error.response.status_code, "message": str(error)}


class Session:
    def __init__(self, client):
        self.client = client
        info = client.server_info
        self.hello = {
            "client": f"fastmcp {fastmcp.__version__}",
            "protocolVersion": client.protocol_version,
            "serverInfo": info and info.model_dump(exclude_none=True),
        }

    async def tools(self, cursor):
        page = await self.client.list_tools_mcp(cursor=cursor)
        return [tool.name for tool in page.tools], page.next_cursor

    async def call(self, tool, arguments, timeout, on_progress):
        result = await self.client.call_tool(
            tool, arguments, timeout=timeout, progress_handler=on_progress, raise_on_error=False
        )
        return {
            "content": result.content,
            "isError": bool(result.is_error),
            "structured": result.structured_content,
            "meta": result.meta,
        }

    async def offers(self):
        return {
            "resources": [str(one.uri) for one in await self.client.list_resources()],
            "templates": [one.uri_template for one in await self.client.list_resource_templates()],
            "prompts": [one.name for one in await self.client.list_prompts()],
        }

    async def read(self, uri):
        return [part.text for part in await self.client.read_resource(uri)]

    async def prompt(self, name, arguments):
        result = await self.client.get_prompt(name, arguments)
        return [said.content.text for said in result.messages]


def transport_to(plan):
    if "command" in plan:
        command, *arguments = plan["command"]
        return StdioTransport(command=command, args=arguments, keep_alive=False)
    return StreamableHttpTransport(plan["url"], auth=plan.get("token"))


@asynccontextmanager
async def connect(plan, timeout):
    transport = transport_to(plan)
    mode = plan.get("protocol", "auto")
    async with fastmcp.Client(transport, mode=mode, timeout=timeout, init_timeout=timeout) as client:
        yield Session(client)
