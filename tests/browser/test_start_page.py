"""What the server answers for the start page and for the web client, without a browser."""

import gzip
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from schema import start
from tests.perch import Perch


@asynccontextmanager
async def browser(offer: start.Offer) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=start.routes(offer))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://perch") as client:
        yield client


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose client is built, of one asset."""
    for name in ("README.md", "ARCHITECTURE.md"):
        (tmp_path / name).write_text(f"# {name}")
    assets = tmp_path / "web" / "client" / "dist" / "assets"
    assets.mkdir(parents=True)
    (assets.parent / "index.html").write_text('<script type="module" src="/app/assets/index-abc.js"></script>')
    (assets / "index-abc.js").write_text("export {}")
    return tmp_path


async def test_every_link_of_the_start_page_leads_somewhere(perch: Perch) -> None:
    page = await perch.http.get("/")
    links = set(re.findall(r'href="(/[^"]*)"', page.text))
    assert links >= {"/graphql", "/schema.graphql", "/healthz", "/readyz", "/metrics", "/docs/README.md"}
    for link in links:
        answer = await perch.http.get(link, headers={"accept": "text/html"})
        # GraphiQL says so where it is not built.
        assert answer.status_code in ((200, 503) if link == "/graphql" else (200,)), link


async def test_no_page_may_load_anything_from_elsewhere_or_run_what_was_injected(project: Path) -> None:
    async with browser(start.Offer(project, development=True, metrics=True)) as client:
        for path in ("/", "/app", "/app/user/ann", "/app/assets/index-abc.js"):
            policy = (await client.get(path)).headers["content-security-policy"]
            assert policy.startswith("default-src 'none';")
            assert not {"*", "http:", "https:", "'unsafe-inline'", "'unsafe-eval'"} & set(
                policy.replace(";", " ").split()
            )


async def test_every_address_below_the_client_is_the_client_and_its_assets_are_kept_for_a_year(project: Path) -> None:
    async with browser(start.Offer(project, development=False, metrics=False)) as client:
        pages = [await client.get(path) for path in ("/app", "/app/", "/app/tweet/VHdlZXQ6MQ==", "/app/no/such")]
        asset = await client.get("/app/assets/index-abc.js")
        missing = await client.get("/app/assets/index-old.js")
    assert {page.status_code for page in pages} == {200}
    assert all("/app/assets/index-abc.js" in page.text for page in pages)
    assert {page.headers["cache-control"] for page in pages} == {"no-cache"}
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert missing.status_code == 404
    assert "cache-control" not in missing.headers


async def test_an_asset_comes_gzipped_to_whoever_takes_it_so_if_it_was_built_so(project: Path) -> None:
    asset = project / "web" / "client" / "dist" / "assets" / "index-abc.js"
    async with browser(start.Offer(project, development=False, metrics=False)) as client:
        plain = await client.get("/app/assets/index-abc.js")
        assert "content-encoding" not in plain.headers
        asset.with_name("index-abc.js.gz").write_bytes(gzip.compress(asset.read_bytes()))
        packed = await client.get("/app/assets/index-abc.js")
        unpacked = await client.get("/app/assets/index-abc.js", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in unpacked.headers
    assert packed.text == unpacked.text == plain.text
    assert packed.headers["content-type"] == plain.headers["content-type"]
    assert packed.headers["vary"] == "Accept-Encoding"


async def test_in_production_there_is_the_client_if_it_was_built_and_no_explorer_schema_or_document(
    project: Path,
) -> None:
    async with browser(start.Offer(project, development=False, metrics=False)) as client:
        page = await client.get("/")
        assert re.findall(r'href="(/[^"]*)"', page.text) == ["/app", "/healthz", "/readyz"]
        assert (await client.get("/schema.graphql")).status_code == 404
        assert (await client.get("/docs/README.md")).status_code == 404
    shutil.rmtree(project / "web")
    async with browser(start.Offer(project, development=False, metrics=False)) as client:
        assert (await client.get("/app")).status_code == 404


async def test_a_client_that_is_not_built_says_how_to_build_it_and_is_there_once_it_is(project: Path) -> None:
    built = project / "web" / "client" / "dist"
    built.rename(project / "aside")
    async with browser(start.Offer(project, development=True, metrics=True)) as client:
        page = await client.get("/app")
        assert page.status_code == 503
        assert "make client" in page.text
        (project / "aside").rename(built)
        assert (await client.get("/app")).status_code == 200


async def test_of_files_only_the_documents_are_shown(project: Path) -> None:
    (project / "docs").mkdir()
    (project / "docs" / "live.md").write_text("# Live")
    (project / "secret.md").write_text("hidden")
    async with browser(start.Offer(project, development=True, metrics=True)) as client:
        assert (await client.get("/docs/live.md")).text == "# Live"
        for name in ("secret.md", "..%2Fsecret.md", "%2e%2e/secret.md", "live.md/../../secret.md"):
            assert (await client.get(f"/docs/{name}")).status_code == 404, name
