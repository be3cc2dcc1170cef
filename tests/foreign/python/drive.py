"""Runs a plan over one session and prints one JSON line per step. The argument says with which client: the name of a
module beside this one, which knows the client and nothing of plans.

Standard input: {"url" | "command": [...], "token"?, "protocol"?: "auto" | "legacy" | "2026-07-28", "timeout_ms"?, "steps":
[{"op": "list"} | {"op": "call", "tool", "arguments" | null, "progress"?, "cancel_ms"?} | {"op": "offers"} |
{"op": "read", "uri"} | {"op": "prompt", "name", "arguments"} | {"op": "wait_ms", "ms"}], "pages"?: what to answer when
asked to show one}. The first line of the output is about the connection, then one line per step, whatever happens: a
driver that hangs or stops early would hide what a test wants to see.
"""

import asyncio
import importlib
import json
import os
import sys

client = importlib.import_module(sys.argv[1])


def say(line):
    print(json.dumps(line), flush=True)


def leaf(error):
    """The first error inside a group: what the transport's tasks really died of."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def failure(op, error):
    error = leaf(error)
    said = client.describe(error) or {"code": type(error).__name__, "message": str(error)}
    return {"op": op, "error": said}


async def list_tools(session):
    names, cursor, pages = [], None, 0
    while True:
        more, cursor = await session.tools(cursor)
        pages += 1
        names += more
        if cursor is None or pages == 64:
            return {"op": "list", "tools": names, "pages": pages}


async def call_tool(session, step, timeout):
    heard = []

    async def on_progress(progress, total, message):
        heard.append(progress)

    asked = on_progress if step.get("progress") else None
    result = await session.call(step["tool"], step["arguments"], timeout, asked)
    texts = [part.text for part in result.pop("content") if part.type == "text"]
    shown, session.shown[:] = list(session.shown), []
    return {"op": "call", "text": "\n".join(texts), "progress": heard, "shown": shown, **result}


async def call_and_cancel(session, step, timeout):
    """Calls, and has had enough after a while."""
    call = asyncio.create_task(call_tool(session, step, timeout))
    await asyncio.wait([call], timeout=step["cancel_ms"] / 1000)
    if call.done():
        return call.result()
    call.cancel()
    await asyncio.wait([call])
    return {"op": "call", "cancelled": True}


async def run_step(session, step, timeout):
    if step["op"] == "list":
        return await list_tools(session)
    if step["op"] == "call":
        return await (call_and_cancel if "cancel_ms" in step else call_tool)(session, step, timeout)
    if step["op"] == "offers":
        return {"op": "offers", **await session.offers()}
    if step["op"] == "read":
        return {"op": "read", "text": "\n".join(await session.read(step["uri"]))}
    if step["op"] == "prompt":
        texts = await session.prompt(step["name"], step.get("arguments", {}))
        return {"op": "prompt", "text": "\n".join(texts)}
    if step["op"] == "wait_ms":
        await asyncio.sleep(step["ms"] / 1000)
        return {"op": "wait_ms"}
    raise ValueError(f"unknown op {step['op']}")


async def session_over(plan, timeout, lines):
    """Appends a line for the connection and one for each step that was finished."""
    async with client.connect(plan, timeout) as session:
        lines.append({"op": "connect", **session.hello})
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
