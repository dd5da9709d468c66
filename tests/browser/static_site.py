"""Serves folders as a web site with a strict Content-Security-Policy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src ws://127.0.0.1:*; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


@asynccontextmanager
async def static_site(*folders: Path) -> AsyncIterator[str]:
    """The origin of a site with the files of these folders; `/` is index.html."""

    async def file(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"] or "index.html"
        for folder in folders:
            if (folder / name).is_file():
                return web.FileResponse(folder / name, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})
        raise web.HTTPNotFound

    app = web.Application()
    app.router.add_get("/{name:[^/]*}", file)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
