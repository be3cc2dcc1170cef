"""A small server that keeps notes as files, made with one of two libraries.

Arguments: "fastmcp" or "mcp", the folder, and perhaps a port of 127.0.0.1 to listen on; else it speaks through pipes.
"""

import asyncio
import os
import sys
from pathlib import Path

library, folder, *port = sys.argv[1:]
# A banner that asks the network for news.
os.environ["FASTMCP_SHOW_SERVER_BANNER"] = "false"
if library == "fastmcp":
    from fastmcp import Context, FastMCP as Server
    from fastmcp.exceptions import ToolError
else:
    from mcp.server.mcpserver import Context, MCPServer as Server
    from mcp.server.mcpserver.exceptions import ToolError

server = Server("notes")


def note(name):
    return Path(folder) / f"{name}.txt"


@server.tool()
def read_note(name: str) -> str:
    """Read a note."""
    if not note(name).exists():
        raise ToolError(f"there is no note {name}")
    return note(name).read_text()


@server.tool()
def stat_note(name: str) -> dict[str, int]:
    """Size and time of a note; the nanoseconds are more than a double can hold."""
    stat = note(name).stat()
    return {"bytes": stat.st_size, "modified_ns": stat.st_mtime_ns | 1}


@server.tool()
def write_note(name: str, text: str) -> str:
    """Write a note, or write over it."""
    note(name).write_text(text)
    return f"wrote {name}"


@server.tool()
async def write_slowly(name: str, text: str, seconds: float, ctx: Context) -> str:
    """Write a note and take a while over it, with word of how it goes."""
    note(name).write_text(text)
    try:
        for step in range(1, 4):
            await ctx.report_progress(step, 3)
            await asyncio.sleep(seconds / 3)
    except asyncio.CancelledError:
        (Path(folder) / "given-up").write_text(name)
        raise
    return f"wrote {name}"


@server.tool()
def delete_note(name: str) -> str:
    """Delete a note."""
    note(name).unlink()
    return f"deleted {name}"


@server.tool()
def burn_everything() -> str:
    """Delete every note. No catalog knows of it."""
    for file in Path(folder).glob("*.txt"):
        file.unlink()
    return "gone"


if port:
    server.run(transport="streamable-http", host="127.0.0.1", port=int(port[0]))
else:
    server.run()
