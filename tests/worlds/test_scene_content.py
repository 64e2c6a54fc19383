"""Scenes are pure functions of their seed, and no content crosses a split."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from boresight.errors import UnknownNameError, UsageError
from boresight.registry import load, names
from boresight.worlds._scene_content import COUNTS, NAMES, SPLITS, content_split, partner, split_of
from boresight.worlds.scenes import MEMBER


def test_the_registry_finds_the_world_and_not_its_private_parts() -> None:
    assert "scenes" in names("boresight.worlds")
    assert not [name for name in names("boresight.worlds") if name.startswith("_")]
    assert load("boresight.worlds", "scenes") is MEMBER


def test_one_seed_is_always_the_same_scene_and_picture() -> None:
    assert MEMBER.scene(17) == MEMBER.scene(17)
    assert MEMBER.draw(MEMBER.scene(17)).tobytes() == MEMBER.draw(MEMBER.scene(17)).tobytes()


def test_different_seeds_are_different_scenes() -> None:
    contents = {MEMBER.scene(seed).content for seed in range(200)}

    assert len(contents) > 195


def test_a_known_seed_keeps_its_content_forever() -> None:
    """The shipped weights and their published figures depend on it."""
    assert MEMBER.scene(3).content == (
        "small red star 0,2; large pink ring 1,0; large green square 1,2; large yellow circle 2,0"
    )


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_scene_of_a_split_has_content_that_only_this_split_may_hold(split: str) -> None:
    contents = [item.facts.content for item in MEMBER.items(split, 150, start=40)]

    assert {content_split(content) for content in contents} == {split}


def test_splits_share_no_content_where_scenes_are_smallest_and_most_likely_to_meet() -> None:
    """Two-object scenes repeat soonest; among thousands none is in two splits."""
    seen: dict[str, set[str]] = {}
    for split in SPLITS:
        scenes = (MEMBER.scene(seed) for seed in SPLITS[split][:600])
        seen[split] = {scene.content for scene in scenes if len(scene.things) == 2}

    assert not seen["train"] & (seen["test"] | seen["validation"])
    assert not seen["test"] & seen["validation"]
    assert min(len(contents) for contents in seen.values()) > 100


def test_split_seeds_do_not_overlap() -> None:
    ends = sorted((seeds.start, seeds.stop) for seeds in SPLITS.values())

    assert all(stop <= start for (_, stop), (start, _) in itertools.pairwise(ends))
    assert [split_of(seeds.start) for seeds in SPLITS.values()] == list(SPLITS)


def test_a_scene_holds_distinct_objects_in_distinct_cells() -> None:
    for seed in range(300):
        things = MEMBER.scene(seed).things
        assert len(things) in COUNTS
        assert len({thing.name for thing in things}) == len(things)
        assert len({(thing.row, thing.column) for thing in things}) == len(things)
        assert [(t.row, t.column) for t in things] == sorted((t.row, t.column) for t in things)


def test_all_names_and_counts_are_about_equally_frequent() -> None:
    scenes = [MEMBER.scene(seed) for seed in range(3000)]
    by_name = Counter(name for scene in scenes for name in scene.names)
    by_count = Counter(len(scene.things) for scene in scenes)

    assert set(by_name) == set(NAMES)
    assert max(by_name.values()) < 1.5 * min(by_name.values())
    assert max(by_count.values()) < 1.2 * min(by_count.values())


def test_the_partner_table_is_one_to_one_and_never_names_the_object_itself() -> None:
    partners = [partner(name) for name in NAMES]
    named = [name for name in partners if name is not None]

    assert len(named) == len(set(named)) == len(NAMES) // 2
    assert all(one is None or one.split()[0] != name.split()[0] for name, one in zip(NAMES, partners, strict=True))


def test_the_bias_suggests_only_absent_objects() -> None:
    for seed in range(200):
        scene = MEMBER.scene(seed)
        suggested = MEMBER.suggested_by_bias(scene)
        assert not suggested & scene.names
        assert suggested | scene.names >= {p for p in map(partner, scene.names) if p is not None}


def test_an_unknown_split_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"no split named 'dev'\. Known: train, validation, test"):
        next(MEMBER.items("dev", 1))


def test_more_scenes_than_a_split_has_are_refused() -> None:
    with pytest.raises(UsageError, match="has 1000000 seeds, got start 999999 and count 2"):
        next(MEMBER.items("test", 2, start=999_999))


@pytest.mark.parametrize("seed", [-1, 12_000_000])
def test_a_seed_outside_all_splits_is_refused(seed: int) -> None:
    with pytest.raises(UsageError, match=f"got {seed}"):
        MEMBER.scene(seed)


def test_items_start_where_asked_and_carry_their_seed() -> None:
    items = list(MEMBER.items("validation", 2, start=5))

    assert [item.seed for item in items] == [10_000_005, 10_000_006]
    assert [item.id for item in items] == ["scenes-validation-0000005", "scenes-validation-0000006"]
    assert items[0].facts == MEMBER.scene(10_000_005)
    assert items[0].image.size == (96, 96)
