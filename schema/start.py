"""The start page at /, with links to all that runs here; in development the SDL and the documents too. No store."""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from schema import client

_PAGE = Path(__file__).with_suffix(".html")
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Offer:
    """What an installation has to show: the project's folder, whether it is in development, and whether it counts."""

    project: Path
    development: bool
    metrics: bool

    @property
    def client(self) -> Path:
        """Where the web client is built."""
        return self.project / "web" / "client" / "dist"


@dataclass(frozen=True, slots=True)
class Link:
    """One line of the page."""

    path: str
    name: str
    what: str


def routes(offer: Offer) -> list[BaseRoute]:
    """/ and, where there is one or may come to be one, the web client; in development /schema.graphql and /docs."""
    found: list[BaseRoute] = [Route("/", _start(offer))]
    if offer.development or client.is_built(offer.client):
        found += client.routes(offer.client)
    return [*found, *_papers(offer.project)] if offer.development else found


def links(offer: Offer) -> Sequence[Link]:
    """What is there now."""
    built = client.is_built(offer.client)
    return [
        *([Link("/app", "Web client", "Sign up, read, write and watch it live.")] if built else []),
        *(_for_developers() if offer.development else []),
        Link("/healthz", "Health", "Whether this process lives."),
        Link("/readyz", "Readiness", "Whether it can serve, and what answers it."),
        *([Link("/metrics", "Metrics", "What it counts, for Prometheus.")] if offer.metrics else []),
    ]


def _for_developers() -> list[Link]:
    return [
        Link("/graphql", "GraphiQL", "The explorer, with examples that run as they are."),
        Link("/schema.graphql", "Schema", "All types, fields and their descriptions, as SDL."),
        Link("/docs/README.md", "Documents", "First steps, settings and commands."),
        Link("/docs/live.md", "Live clients", "How to watch a timeline and lose nothing."),
    ]


def _start(offer: Offer) -> Callable[[Request], Awaitable[Response]]:
    text = _PAGE.read_text()
    (style,) = _STYLE.findall(text)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; frame-ancestors 'none'"

    async def start(_: Request) -> Response:
        items = "\n".join(_item(link) for link in links(offer))
        return HTMLResponse(Template(text).substitute(links=items), headers={"Content-Security-Policy": policy})

    return start


def _item(link: Link) -> str:
    return (
        f'<li><a href="{link.path}"><strong>{escape(link.name)}</strong> <code>{link.path}</code></a> {link.what}</li>'
    )


def _papers(project: Path) -> list[BaseRoute]:
    """The SDL and the documents as they lie there, as plain text; of other files none."""
    pages = [project / "README.md", project / "ARCHITECTURE.md", *(project / "docs").glob("*.md")]
    by_name = {page.name: page for page in pages}

    async def sdl(_: Request) -> Response:
        return PlainTextResponse((project / "schema" / "schema.graphql").read_text())

    async def document(request: Request) -> Response:
        page = by_name.get(request.path_params["name"])
        if page is None:
            raise HTTPException(404)
        return PlainTextResponse(page.read_text())

    return [Route("/schema.graphql", sdl), Route("/docs/{name}", document)]
