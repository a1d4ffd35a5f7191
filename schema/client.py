"""The web client as built from web/client: one page for every address under /app, and its assets. Knows no person."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from schema import built

# Its own files and its own API: no inline script or style, no other host, and no text may become markup.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
PAGE_HEADERS = built.page_headers(CONTENT_SECURITY_POLICY)


def routes(dist: Path) -> list[BaseRoute]:
    """The page at /app and below, where the client itself knows what is shown, and the assets; the build may come
    later."""

    async def page(_: Request) -> Response:
        return built.page(dist, PAGE_HEADERS, "The web client", "client")

    return [
        Mount("/app/assets", built.Assets(dist, CONTENT_SECURITY_POLICY)),
        Route("/app", page),
        Route("/app/{path:path}", page),
    ]


def is_built(dist: Path) -> bool:
    """Whether there is a page to show."""
    return (dist / "index.html").is_file()
