"""Canonical pictures for training, decoded once and kept while they fit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from PIL import Image

from boresight.media.image import decode_image
from boresight.records import Media

_KEPT_PIXELS = 100_000_000  # 300 MB of RGB


class PictureCache:
    """Reads and decodes pictures that an import or a check has already proved sound.

    Args:
        read: Bytes of a medium.
        max_pixels: Most pixels kept, least recently used go first.
    """

    def __init__(self, read: Callable[[Media], bytes], *, max_pixels: int = _KEPT_PIXELS) -> None:
        self._read = read
        self._max_pixels = max_pixels
        self._kept: OrderedDict[str, Image.Image] = OrderedDict()
        self._pixels = 0

    def __call__(self, medium: Media) -> Image.Image:
        key = medium.sha256 or medium.uri or medium.id
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        image = decode_image(self._read(medium), name=medium.uri or medium.id).image
        self._kept[key] = image
        self._pixels += image.width * image.height
        while self._pixels > self._max_pixels and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._pixels -= dropped.width * dropped.height
        return image
