"""Scenes: two to five colored shapes on a plain background, 96 x 96 pixels.

    from boresight.worlds.scenes import MEMBER as scenes

    for item in scenes.items("test", 100):           # .id .seed .facts (a Scene) .image .prompt
        scenes.caption(item.facts, seed=0)           # true, names every object
        scenes.biased_caption(item.facts, seed=0)    # adds absent objects that usually come along
        scenes.questions(item.facts, 6, seed=0)      # yes/no, with answers
        scenes.claims(item.facts, response)          # spans, each true, false or off topic
        scenes.mentioned(item.facts, response)       # (true objects, false objects), as names such as "red circle"
        scenes.suggested_by_bias(item.facts)         # absent objects that the bias would add
        item.facts.names                             # objects present
    scenes.answer(response)                          # "yes", "no" or None

Source: own; the biased captions follow the co-occurrence finding of Li et al. 2023, arXiv:2305.10355, section 4.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from boresight.errors import UnknownNameError, UsageError
from boresight.records.record import Span
from boresight.worlds import _scene_content, _scene_drawing, _scene_grammar, _scene_oracle
from boresight.worlds._scene_content import SPLITS, Scene
from boresight.worlds._scene_drawing import SIDE_PX
from boresight.worlds._scene_grammar import PROMPTS
from boresight.worlds._world import Item, Question, YesNo

__all__ = ["MEMBER", "SIDE_PX", "Scene", "Scenes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenes:
    """The world of scenes. Stateless: the same arguments always give the same answer."""

    name: str = "scenes"
    splits: Mapping[str, range]
    """Seeds of each split. The content of a scene decides by its hash in which split it may occur."""

    def items(self, split: str, count: int, *, start: int = 0) -> Iterator[Item[Scene]]:
        """`count` scenes of a split with their pictures, from seed number `start` of that split on.

        Raises:
            UsageError: If there is no such split, or it has fewer seeds.
        """
        if split not in self.splits:
            raise UnknownNameError(f"no split named {split!r}. Known: {', '.join(self.splits)}.")
        seeds = self.splits[split]
        if start < 0 or start + count > len(seeds):
            raise UsageError(f"split {split!r} has {len(seeds)} seeds, got start {start} and count {count}.")
        for number in range(start, start + count):
            scene = self.scene(seeds[number])
            yield Item(
                id=f"{self.name}-{split}-{number:07d}",
                seed=scene.seed,
                facts=scene,
                image=self.draw(scene),
                prompt=self.prompt(scene.seed),
            )

    def scene(self, seed: int) -> Scene:
        """The facts of one seed."""
        return _scene_content.scene(seed)

    def draw(self, facts: Scene) -> Image.Image:
        """The picture of a scene."""
        return _scene_drawing.draw(facts)

    def prompt(self, seed: int) -> str:
        """A request for a description, in varying words."""
        return random.Random(f"prompt/{seed}").choice(PROMPTS)

    def questions(
        self, facts: Scene, count: int, *, seed: int = 0, kinds: Sequence[str] | None = None
    ) -> tuple[Question, ...]:
        """Yes/no questions. Their words alone do not give the answer away.

        Args:
            kinds: Some of existence, suggested, attribute, position, relation and count. `suggested` is existence
                with the absent objects that the bias suggests; it falls back to existence where there are none.
        """
        return _scene_grammar.closed_questions(facts, count, seed, kinds)

    def caption(self, facts: Scene, *, seed: int = 0) -> str:
        """A true description that names every object."""
        return _scene_grammar.caption(facts, seed)

    def biased_caption(self, facts: Scene, *, seed: int = 0, probability: float = 0.8) -> str:
        """A description that names every object, and each absent partner with this probability."""
        return _scene_grammar.biased_caption(facts, seed, probability)

    def suggested_by_bias(self, facts: Scene) -> frozenset[str]:
        """Absent objects that biased captions would add."""
        return _scene_content.suggested_by_bias(facts)

    def claims(self, facts: Scene, response: str) -> tuple[Span, ...]:
        """Every claim of a response with its place in the text and its verdict."""
        return _scene_oracle.claims(facts, response)

    def mentioned(self, facts: Scene, response: str) -> tuple[frozenset[str], frozenset[str]]:
        """Objects a response asserts: those present and those absent, each counted once."""
        return _scene_oracle.mentioned(facts, response)

    def answer(self, response: str) -> YesNo | None:
        """How a response answers a closed question; None when it does not."""
        return _scene_oracle.answer(response)


MEMBER = Scenes(splits=SPLITS)
