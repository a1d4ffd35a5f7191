"""Built: a page and its hashed assets as Vite made them, with headers to keep them by. Builds nothing."""

from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

# A year, the longest that caches honour; the name holds a hash of the content.
ASSET_CACHE_CONTROL = "public, max-age=31536000, immutable"

NOT_BUILT = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>Perch · {what} is not built</title>
<h1>{what} is not built</h1>
<p>Run <code>make {target}</code> in Perch's folder and reload this page.
The API itself works without: <code>POST /graphql</code>.</p>
</html>
"""


def page_headers(policy: str) -> dict[str, str]:
    """Those of a page under this content security policy. It names the assets of one build: a kept copy would ask for
    files that are gone."""
    return {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}


def page(dist: Path, headers: dict[str, str], what: str, target: str) -> Response:
    """The page of a build; where nothing is built, a 503 whose text says which make target builds it."""
    index = dist / "index.html"
    if not index.is_file():
        return HTMLResponse(NOT_BUILT.format(what=what, target=target), status_code=503, headers=headers)
    return FileResponse(index, media_type="text/html", headers=headers)


class Assets(StaticFiles):
    """The hashed files of a build, kept by browsers for a year; 404 for any other name, built or not."""

    def __init__(self, dist: Path, policy: str) -> None:
        super().__init__(directory=dist / "assets", check_dir=False)
        self._policy = policy

    async def check_config(self) -> None:
        """Nothing: Starlette would answer 500 as long as the folder is missing, and a missing file is 404 anyway."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file of the build, with headers to keep it by; gzipped if the build has it so and the browser asks."""
        packed = "gzip" in Headers(scope=scope).get("accept-encoding", "") and self.lookup_path(f"{path}.gz")[1]
        response = await super().get_response(f"{path}.gz" if packed else path, scope)
        if packed:
            response.headers["Content-Encoding"] = "gzip"
        response.headers["Vary"] = "Accept-Encoding"
        response.headers["Cache-Control"] = ASSET_CACHE_CONTROL
        # A worker is held to the policy that its own file comes with.
        response.headers["Content-Security-Policy"] = self._policy
        return response
