"""The client of FastMCP, for `drive.py`: speaks both eras."""

from contextlib import asynccontextmanager

import fastmcp
import mcp2
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from mcp2 import describe, shower_of, told

__all__ = ["connect", "describe"]


class Session(mcp2.Session):
    name = f"fastmcp {fastmcp.__version__}"

    async def tools(self, cursor):
        page = await self.client.list_tools_mcp(cursor=cursor)
        return [tool.name for tool in page.tools], page.next_cursor

    async def call(self, tool, arguments, timeout, on_progress):
        result = await self.client.call_tool(
            tool, arguments, timeout=timeout, progress_handler=on_progress, raise_on_error=False
        )
        return told(result)

    async def offers(self):
        return {
            "resources": [str(one.uri) for one in await self.client.list_resources()],
            "templates": [one.uri_template for one in await self.client.list_resource_templates()],
            "prompts": [one.name for one in await self.client.list_prompts()],
        }

    async def read(self, uri):
        return [part.text for part in await self.client.read_resource(uri)]


def transport_to(plan):
    if "command" in plan:
        command, *arguments = plan["command"]
        return StdioTransport(command=command, args=arguments, keep_alive=False)
    return StreamableHttpTransport(plan["url"], auth=plan.get("token"))


@asynccontextmanager
async def connect(plan, timeout):
    transport = transport_to(plan)
    mode, shown = plan.get("protocol", "auto"), []
    show = shower_of(plan, shown)
    handler = show and (lambda _message, _type, params, context: show(context, params))
    async with fastmcp.Client(
        transport, mode=mode, timeout=timeout, init_timeout=timeout, elicitation_handler=handler
    ) as client:
        yield Session(client, shown)
