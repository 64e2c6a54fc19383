"""Image-side pairs: the same answer is preferred under the whole picture to under a small piece of it.

Source: the comparison of mDPO, Wang et al. 2024, arXiv:2406.11839, Eq. 5, stored as data, so that any pairwise method
can learn from it.
Differs from the paper: the piece is cut once and stored as a picture of its own, with its seed and parameters.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable

from PIL import Image

from boresight.media.seeds import derive_seed
from boresight.media.transforms.random_crop import RandomCrop
from boresight.records import Candidate, Derivation, Media, MediaSwap, Preference, Record

_TRANSFORM = "random_crop"


def cropped_pair(
    record: Record,
    open_picture: Callable[[Media], Image.Image],
    add_media: Callable[[bytes], str],
    *,
    crop: RandomCrop | None = None,
    seed: int = 0,
) -> Record:
    """A pair of kind `media` from a record's first candidate and all of its pictures.

    Args:
        open_picture: The canonical decode of a medium.
        add_media: Stores bytes and gives their sha256, as `StoreWriter.add_media` does.
        crop: What is cut; by default the paper's 1 to 20 % of the area.
    """
    crop = crop or RandomCrop()
    answer = record.candidates[0]
    pieces = []
    for medium in record.media:
        piece_seed = derive_seed(seed, record.id, f"{_TRANSFORM}/{medium.id}")
        piece = crop(open_picture(medium), seed=piece_seed)
        pieces.append(
            Media(
                id=f"{medium.id}-cropped",
                kind="image",
                sha256=add_media(_png(piece)),
                mime="image/png",
                width_px=piece.width,
                height_px=piece.height,
                derived=Derivation(
                    source=medium.id,
                    transform=_TRANSFORM,
                    params={"area": list(crop.area), "max_aspect": crop.max_aspect},
                    seed=piece_seed,
                ),
            )
        )
    under_pieces = Candidate(
        id=f"{answer.id}-cropped",
        messages=answer.messages,
        origin=answer.origin,
        media_map=tuple(MediaSwap(slot=m.id, use=p.id) for m, p in zip(record.media, pieces, strict=True)),
    )
    return dataclasses.replace(
        record,
        task="preference",
        media=(*record.media, *pieces),
        candidates=(answer, under_pieces),
        preferences=(Preference(chosen=answer.id, rejected=under_pieces.id, kind="media", by="construction"),),
    )


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
