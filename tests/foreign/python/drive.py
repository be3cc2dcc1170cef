"""Runs a plan over one session with the Python MCP SDK and prints one JSON line per step.

Standard input: {"url" | "command": [...], "token"?, "timeout_ms"?, "steps": [{"op": "list"} | {"op": "call", "tool", "arguments",
"progress"?} | {"op": "offers"} | {"op": "read", "uri"} | {"op": "prompt", "name", "arguments"} | {"op": "wait_ms",
"ms"}]}. The first line of the output is about the connection, then one line per
step, whatever happens: a driver that hangs or stops early would hide what a test wants to see.
"""

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version

import httpx
from mcp import ClientSession, McpError
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import AnyUrl


def say(line):
    print(json.dumps(line), flush=True)


def leaf(error):
    """The first error inside a group: what the transport's tasks really died of."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def failure(op, error):
    error = leaf(error)
    if isinstance(error, McpError):
        said = {"code": error.error.code, "message": error.error.message, "data": error.error.data}
    elif isinstance(error, httpx.HTTPStatusError):
        said = {"code": "http", "status": error.response.status_code, "message": str(error)}
    else:
        said = {"code": type(error).__name__, "message": str(error)}
    return {"op": op, "error": said}


async def list_tools(session):
    names, cursor, pages = [], None, 0
    while True:
        page = await session.list_tools(cursor)
        pages += 1
        names += [tool.name for tool in page.tools]
        cursor = page.nextCursor
        if cursor is None or pages == 64:
            return {"op": "list", "tools": names, "pages": pages}


async def call_tool(session, step, timeout):
    heard = []

    async def on_progress(progress, total, message):
        heard.append(progress)

    result = await session.call_tool(
        step["tool"],
        step.get("arguments", {}),
        read_timeout_seconds=timedelta(seconds=timeout),
        progress_callback=on_progress if step.get("progress") else None,
    )
    return {
        "op": "call",
        "isError": bool(result.isError),
        "text": "\n".join(part.text for part in result.content if part.type == "text"),
        "structured": result.structuredContent,
        "meta": result.meta,
        "progress": heard,
    }


async def list_offers(session):
    resources = await session.list_resources()
    templates = await session.list_resource_templates()
    prompts = await session.list_prompts()
    return {
        "op": "offers",
        "resources": [str(one.uri) for one in resources.resources],
        "templates": [one.uriTemplate for one in templates.resourceTemplates],
        "prompts": [one.name for one in prompts.prompts],
    }


async def read_resource(session, step):
    result = await session.read_resource(AnyUrl(step["uri"]))
    return {"op": "read", "text": "\n".join(part.text for part in result.contents)}


async def get_prompt(session, step):
    result = await session.get_prompt(step["name"], step.get("arguments", {}))
    return {"op": "prompt", "text": "\n".join(said.content.text for said in result.messages)}


async def run_step(session, step, timeout):
    if step["op"] == "list":
        return await list_tools(session)
    if step["op"] == "call":
        return await call_tool(session, step, timeout)
    if step["op"] == "offers":
        return await list_offers(session)
    if step["op"] == "read":
        return await read_resource(session, step)
    if step["op"] == "prompt":
        return await get_prompt(session, step)
    if step["op"] == "wait_ms":
        await asyncio.sleep(step["ms"] / 1000)
        return {"op": "wait_ms"}
    raise ValueError(f"unknown op {step['op']}")


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


async def session_over(plan, timeout, lines):
    """Appends a line for the connection and one for each step that was finished."""
    async with streams_to(plan, timeout) as (read, write), ClientSession(read, write) as session:
        hello = await asyncio.wait_for(session.initialize(), timeout)
        lines.append(
            {
                "op": "connect",
                "client": f"python mcp {version('mcp')}",
                "protocolVersion": hello.protocolVersion,
                "serverInfo": hello.serverInfo.model_dump(exclude_none=True),
            }
        )
        for step in plan["steps"]:
            try:
                deadline = timeout + step.get("ms", 0) / 1000 + 1
                work = run_step(session, step, timeout)
                lines.append(await asyncio.wait_for(work, deadline))
            except Exception as error:
                lines.append(failure(step["op"], error))


async def main():
    plan = json.load(sys.stdin)
    timeout = plan.get("timeout_ms", 20_000) / 1000
    lines, lost = [], RuntimeError("the session ended")
    waits = sum(step.get("ms", 0) for step in plan["steps"]) / 1000
    deadline = (len(plan["steps"]) + 1) * (timeout + 1) + waits
    try:
        await asyncio.wait_for(session_over(plan, timeout, lines), deadline)
    except BaseException as error:  # the SDK cancels its own tasks when a request fails on the way
        lost = error
    missing = ["connect", *(step["op"] for step in plan["steps"])][len(lines) :]
    for line in lines:
        say(line)
    for op in missing:
        say(failure(op, lost))


asyncio.run(main())
# Threads and streams that the SDK left behind must not keep the process.
sys.stdout.flush()
os._exit(0)
