"""GraphiQL as built from web/graphiql: the page a browser gets at /graphql, and its assets. Never reads a query."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from schema import built

# Everything comes from this server, so the page works offline and sends nothing elsewhere.
# Monaco writes styles into the page, hence 'unsafe-inline' (styles only); fonts and small images are data: in the CSS.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "
    "font-src 'self' data:; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

# The same address answers GraphQL to what does not ask for HTML.
PAGE_HEADERS = {**built.page_headers(CONTENT_SECURITY_POLICY), "Vary": "Accept"}


def page(dist: Path) -> Response:
    """The page for a browser; where nothing is built, a 503 whose text says how to build it."""
    return built.page(dist, PAGE_HEADERS, "GraphiQL", "graphiql")


def routes(dist: Path) -> list[BaseRoute]:
    """The assets under /graphiql/assets, and /graphiql itself for whoever types it; the build may come later."""
    return [
        Mount("/graphiql/assets", built.Assets(dist, CONTENT_SECURITY_POLICY)),
        Route("/graphiql", to_page),
    ]


async def to_page(request: Request) -> Response:
    """The page lives where the API lives."""
    return RedirectResponse("/graphql")
