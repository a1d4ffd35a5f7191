"""GraphiQL as built from web/graphiql: the page a browser gets at /graphql, and its assets. Never reads a query."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

# Everything comes from this server, so the page works offline and sends nothing elsewhere.
# Monaco writes styles into the page, hence 'unsafe-inline' (styles only); fonts and small images are data: in the CSS.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "
    "font-src 'self' data:; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    # The page names the assets of one build: a kept copy would ask for files that are gone.
    "Cache-Control": "no-cache",
    # The same address answers GraphQL to what does not ask for HTML.
    "Vary": "Accept",
}

# A year, the longest that caches honour; the name holds a hash of the content.
ASSET_CACHE_CONTROL = "public, max-age=31536000, immutable"

NOT_BUILT = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>Perch · GraphiQL is not built</title>
<h1>GraphiQL is not built</h1>
<p>Run <code>make graphiql</code> in Perch's folder and reload this page.
The API itself works without: <code>POST /graphql</code>.</p>
</html>
"""


def page(dist: Path) -> Response:
    """The page for a browser; where nothing is built, a 503 whose text says how to build it."""
    index = dist / "index.html"
    if not index.is_file():
        return HTMLResponse(NOT_BUILT, status_code=503, headers=PAGE_HEADERS)
    return FileResponse(index, media_type="text/html", headers=PAGE_HEADERS)


def routes(dist: Path) -> list[BaseRoute]:
    """The assets under /graphiql/assets, and /graphiql itself for whoever types it; the build may come later."""
    return [
        Mount("/graphiql/assets", Assets(directory=dist / "assets", check_dir=False)),
        Route("/graphiql", to_page),
    ]


async def to_page(request: Request) -> Response:
    """The page lives where the API lives."""
    return RedirectResponse("/graphql")


class Assets(StaticFiles):
    """Hashed files, kept by browsers for a year; 404 for any other name, built or not."""

    async def check_config(self) -> None:
        """Nothing: Starlette would answer 500 as long as the folder is missing, and a missing file is 404 anyway."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file of the build, with the headers that let it be kept."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = ASSET_CACHE_CONTROL
        # A worker is held to the policy that its own file comes with.
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response
