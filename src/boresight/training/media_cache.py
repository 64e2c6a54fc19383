"""What is kept of media, within a budget of memory: the tower looks at a picture once, not at every pass."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, MutableMapping

from boresight.models.media_features import MediaFeatures, TowerOutputs


class MediaCache(MutableMapping[str, MediaFeatures | TowerOutputs]):
    """Forgets what was not asked for longest when it would outgrow its budget.

    Args:
        max_bytes: What it may hold, >= 0; something larger than that is not kept at all.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._known: OrderedDict[str, MediaFeatures | TowerOutputs] = OrderedDict()
        self.num_bytes = 0

    def __getitem__(self, key: str) -> MediaFeatures | TowerOutputs:
        found = self._known[key]
        self._known.move_to_end(key)
        return found

    def __setitem__(self, key: str, value: MediaFeatures | TowerOutputs) -> None:
        self.pop(key, None)
        self._known[key] = value
        self.num_bytes += value.num_bytes
        while self.num_bytes > self.max_bytes:
            del self[next(iter(self._known))]

    def __delitem__(self, key: str) -> None:
        self.num_bytes -= self._known.pop(key).num_bytes

    def __contains__(self, key: object) -> bool:
        return key in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)
