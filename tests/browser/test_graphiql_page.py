"""What the server answers for GraphiQL, without a browser: the page, its policy, its assets, and no build."""

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schema import graphiql

PROJECT = Path(__file__).parents[2] / "web" / "graphiql"


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A build of one asset."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text('<script type="module" src="/graphiql/assets/index-abc.js"></script>')
    (tmp_path / "assets" / "index-abc.js").write_text("export {}")
    return tmp_path


def client(dist: Path) -> httpx.AsyncClient:
    async def get(request: Request) -> Response:
        return graphiql.page(dist)

    app = Starlette(routes=[Route("/graphql", get), *graphiql.routes(dist)])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://perch")


async def test_the_page_is_the_built_one_and_may_load_from_nowhere_else(dist: Path) -> None:
    async with client(dist) as browser:
        answer = await browser.get("/graphql")
    assert answer.status_code == 200
    assert "/graphiql/assets/index-abc.js" in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert not {"*", "http:", "https:", "'unsafe-eval'"} & set(policy.replace(";", " ").split())


async def test_hashed_assets_are_kept_for_a_year(dist: Path) -> None:
    async with client(dist) as browser:
        answer = await browser.get("/graphiql/assets/index-abc.js")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "javascript" in answer.headers["content-type"]


async def test_a_missing_asset_is_not_found_and_not_kept(dist: Path) -> None:
    async with client(dist) as browser:
        answer = await browser.get("/graphiql/assets/index-old.js")
    assert answer.status_code == 404
    assert "cache-control" not in answer.headers


async def test_the_address_that_people_guess_leads_to_the_page(dist: Path) -> None:
    async with client(dist) as browser:
        answer = await browser.get("/graphiql")
    assert answer.headers["location"] == "/graphql"


async def test_without_a_build_the_page_says_how_to_make_one_and_assets_are_not_found(tmp_path: Path) -> None:
    async with client(tmp_path / "nowhere") as browser:
        page = await browser.get("/graphql")
        asset = await browser.get("/graphiql/assets/index-abc.js")
    assert page.status_code == 503
    assert "make graphiql" in page.text
    assert asset.status_code == 404


def test_the_lock_file_holds_no_download_address() -> None:
    assert '"resolved"' not in (PROJECT / "package-lock.json").read_text()
