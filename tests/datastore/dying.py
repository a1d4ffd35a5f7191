"""A collection whose server goes away at one of its commands."""

from typing import Any

from datastore.mongo import AutoReconnect


class Dying:
    """A collection on which a call of the given name fails, before or after it was carried out."""

    def __init__(self, collection: Any, name: str, after: bool = False) -> None:
        self._collection, self._name, self._after = collection, name, after

    def __getattr__(self, name: str) -> Any:
        return self._dies if name == self._name else getattr(self._collection, name)

    async def _dies(self, *args: Any, **kwargs: Any) -> None:
        if self._after:
            await getattr(self._collection, self._name)(*args, **kwargs)
        raise AutoReconnect("the connection is gone")
