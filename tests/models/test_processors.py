"""From a record with a real clip, recording or picture, through the family's own processor, to log-probabilities."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from family_zoo import (
    FAMILIES,
    GRADIENT,
    NATS,
    largest,
    official,
    scored,
    skip_if_misjudged,
    zoo_policy,
)
from PIL import Image
from processor_zoo import PROCESSORS, real_policy, spectrogram

from boresight.errors import InputError, ModelError, RecordError, UsageError
from boresight.media.clip import Clip, FrameSampling
from boresight.media.resolver import Resolver
from boresight.media.sound import Sound
from boresight.models.chat import Decoding, Request
from boresight.models.generate import generate
from boresight.models.policy import Policy, Wanted
from boresight.records import Candidate, Media, Message, Part, Preference, Record
from boresight.training.forest import Forest, plan
from boresight.training.items import ItemEncoder
from boresight.training.making_items import make_items
from boresight.training.pictures import PictureCache
from boresight.training.preflight import blanked, preflight
from clip_zoo import clip, recording, tone
from engine_examples import PAIR, differing
from float64 import Float64

pytestmark = pytest.mark.filterwarnings(  # of processors that hand tensors to numpy
    "ignore:__array_:DeprecationWarning"
)

CASES = [(name, kind) for name, made in PROCESSORS.items() for kind in made.kinds]
MIXED = [name for name, made in PROCESSORS.items() if {"image", "video"} <= set(made.kinds)]
APART = ["glm4v", "molmo2", "smolvlm"]
"""Families that cannot tell pictures from clips in one prompt."""
FILES = {"image": "a.png", "video": "a.mp4", "audio": "a.wav"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.effect_noise((60, 44), 80).convert("RGB").save(tmp_path / "a.png")
    Image.effect_noise((44, 60), 80).convert("RGB").save(tmp_path / "b.png")
    (tmp_path / "a.mp4").write_bytes(clip())
    (tmp_path / "b.mp4").write_bytes(clip(20, codec="libx264", size=(64, 64)))
    (tmp_path / "a.wav").write_bytes(recording(tone()))
    (tmp_path / "b.wav").write_bytes(recording(0.3 * tone(0.8, 22_050), 22_050))
    return tmp_path


def policy_of(name: str) -> Policy:
    if name not in PROCESSORS:
        pytest.skip(f"transformers {transformers.__version__} has no {name}")
    for package in PROCESSORS[name].packages:
        pytest.importorskip(package, reason=f"the processor needs {package}; see tests/models/conftest.py")
    return real_policy(name, dtype=torch.float64)


def turn(role: str, *parts: str) -> Message:
    """A part that names a file shows it."""
    return Message(
        role=role,
        parts=tuple(Part(type="media", media=p) if p[1:2] == "." else Part(type="text", text=p) for p in parts),
    )


def record(id: str, *turns: Message, **media: Any) -> Record:
    kinds = {suffix: kind for kind, file in FILES.items() for suffix in [file[1:]]}
    shown = dict.fromkeys(p.media for t in turns for p in t.parts if p.media)
    return Record(
        id=id,
        task="preference",
        messages=turns,
        media=tuple(Media(id=m, kind=kinds[m[1:]], uri=m, **media) for m in shown),
        candidates=tuple(
            Candidate(id=c, messages=(turn("assistant", text),)) for c, text in (("a", "a dog"), ("b", "two red cats"))
        ),
        preferences=(Preference(chosen="a", rejected="b"),),
    )


def encoder_of(policy: Policy, folder: Path, **options: Any) -> ItemEncoder:
    return ItemEncoder(encoder=policy.encoder, pictures=PictureCache(Resolver(root=folder).read_medium, **options))


def forest_of(policy: Policy, folder: Path, *records: Record) -> Forest:
    return plan(PAIR, make_items(records, ["chosen", "rejected"]), encoder_of(policy, folder))


def conversations(kind: str) -> list[Record]:
    """One medium; two in two turns, of different sizes; none."""
    first, second = FILES[kind], FILES[kind].replace("a.", "b.")
    return [
        record("one", turn("user", first, "what is it")),
        record("two", turn("user", "see", first), turn("assistant", "a cat"), turn("user", second, "and here")),
        record("none", turn("user", "is it a dog")),
    ]


def conversations_for(name: str, kind: str) -> list[Record]:
    """The same and two media beside each other, as far as the family takes them."""
    made, first, second = PROCESSORS[name], FILES[kind], FILES[kind].replace("a.", "b.")
    one, two, none = conversations(kind)
    several = [two, record("beside", turn("user", first, second, "which one"))]
    if made.most.get(kind) == 1:
        several = [record("other", turn("user", "see", second))]
    return [one, *several, *([] if made.needs_media else [none])]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_record_scores_the_same_shared_separate_and_by_transformers(name: str, kind: str, folder: Path) -> None:
    policy = policy_of(name)
    skip_if_misjudged(policy)
    shares = FAMILIES[name].expected != "separate"
    forest = forest_of(policy, folder, *conversations_for(name, kind))
    assert len(forest.rows) == len(conversations_for(name, kind))
    assert [bool(row.prompt.media_inputs) for row in forest.rows[-2:]] == [True, PROCESSORS[name].needs_media]
    policy.reuses_media = False
    shared, shared_gradients = scored(policy, forest.rows, shared=shares)
    policy.reuses_media = not shares  # a family that shares no prompt shares its media
    alone, alone_gradients = scored(policy, forest.rows, shared=False)
    assert largest(shared, alone) < NATS
    assert differing(shared_gradients, alone_gradients, GRADIENT) == {}
    with torch.no_grad(), Float64():
        assert largest(shared, official(policy, forest.rows)) < NATS


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_preflight_passes_and_sees_the_media(name: str, kind: str, folder: Path) -> None:
    policy = policy_of(name)
    skip_if_misjudged(policy)
    items = make_items(conversations_for(name, kind)[:2], ["chosen", "rejected"])
    with Float64():  # Gemma-4 listens in float32, whatever it is asked for
        found = preflight(policy, PAIR, items, encoder_of(policy, folder), precision="float64")
    expected = FAMILIES[name].expected
    assert (found.shared, found.attention, found.reuses_media) == (expected != "separate", expected, True)
    assert found.media_effect_nats is not None and found.media_effect_nats > 1e-6


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_all_that_the_processor_makes_for_the_model_is_in_the_prompt(
    name: str, kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what is no tensor would have to be: none is dropped in silence."""
    policy = policy_of(name)
    made: list[Any] = []
    processor = type(policy.encoder.processor)
    own_call = processor.__call__

    def kept_call(self: Any, *args: Any, **options: Any) -> Any:
        made.append(own_call(self, *args, **options))
        return made[-1]

    monkeypatch.setattr(processor, "__call__", kept_call)
    (row,) = forest_of(policy, folder, conversations_for(name, kind)[1]).rows
    given = {**row.prompt.media_inputs, **{k: v[None] for k, v in row.prompt.token_inputs.items()}}
    wanted = set(made[0]) & set(inspect.signature(policy.bare.forward).parameters)
    wanted -= {"input_ids", "attention_mask", "labels"}
    assert wanted and all(torch.equal(given[key], made[0][key]) for key in wanted)


@pytest.mark.parametrize("name", [name for name in MIXED if name not in APART])
def test_pictures_and_clips_stand_in_one_prompt(name: str, folder: Path) -> None:
    policy = policy_of(name)
    mixed = record("mixed", turn("user", "a.mp4", "like", "b.png"), turn("assistant", "no"), turn("user", "a.png", "?"))
    forest = forest_of(policy, folder, mixed, conversations("image")[0], conversations("video")[0])
    with torch.no_grad():
        shared = policy(forest.rows)
        assert largest(shared, policy(forest.rows, shared=False)) < 1e-10
        assert largest(shared, official(policy, forest.rows)) < 1e-10


@pytest.mark.parametrize("name", APART)
def test_pictures_and_clips_in_one_prompt_are_refused_where_they_cannot_be_told_apart(name: str, folder: Path) -> None:
    mixed = record("mixed", turn("user", "a.png", "like", "a.mp4"))
    with pytest.raises(RecordError, match=f"'mixed'.*pictures and clips stand in one prompt; {name} cannot tell them"):
        forest_of(policy_of(name), folder, mixed)


@pytest.mark.parametrize("name", ["glm4v", "molmo2"])
@pytest.mark.parametrize("shared", [True, False])
def test_pictures_and_clips_in_one_batch_are_computed_apart_where_they_cannot_be_told_apart(
    name: str, shared: bool, folder: Path
) -> None:
    policy = policy_of(name)
    assert policy.reads_clips_apart
    policy.add_reward_head()
    torch.nn.init.normal_(policy.get_parameter("reward_head.weight"), generator=torch.Generator().manual_seed(0))
    pictures, clips = conversations("image"), conversations("video")
    forest = forest_of(policy, folder, pictures[0], clips[0], pictures[1], clips[2])
    with torch.no_grad():
        found = policy(forest.rows, shared=shared, wanted=Wanted(ratings=True, distribution=True))
        alone = [policy([row], shared=shared, wanted=Wanted(ratings=True)) for row in forest.rows]
        assert largest(found.logps, official(policy, forest.rows)) < 1e-10
        assert largest(found.ratings, torch.cat([one.ratings for one in alone])) < 1e-10
        kept: dict[str, Any] = {}
        policy.requires_grad_(requires_grad=False)
        for _ in range(2):
            assert largest(policy(forest.rows, shared=shared, media=kept), found.logps) < 1e-10
        assert len(kept) == 3 or not shared


@pytest.mark.parametrize("name", ["glm4v", "molmo2"])
@pytest.mark.parametrize("shared", [True, False])
def test_gradients_of_pictures_and_clips_in_one_batch_are_those_of_each(name: str, shared: bool, folder: Path) -> None:
    policy = policy_of(name)
    forest = forest_of(
        policy, folder, *(c[i] for i in (0, 2) for c in (conversations("video"), conversations("image")))
    )
    counts = [sum(map(len, row.answers)) for row in forest.rows]
    weights = torch.linspace(-1, 1, sum(counts), dtype=torch.float64)
    logps, gradients = scored(policy, forest.rows, weights, shared=shared)
    each = [scored(policy, [row], w, shared=shared) for row, w in zip(forest.rows, weights.split(counts), strict=True)]
    assert largest(logps, torch.cat([alone for alone, _ in each])) < 1e-10
    sums = {name: torch.stack([found[name] for _, found in each if name in found]).sum(0) for name in gradients}
    assert differing(gradients, sums, GRADIENT) == {}


@pytest.mark.parametrize("name", ["glm4v", "molmo2"])
def test_answers_to_pictures_and_clips_are_generated_in_one_batch(name: str, folder: Path) -> None:
    policy = policy_of(name)
    read = PictureCache(Resolver(root=folder).read_medium)
    media = {"a.mp4": "video", "a.png": "image", "b.mp4": "video", "b.png": "image"}
    requests = [
        Request(id=uri, messages=(turn("user", uri, "what is it"),), images=(read(Media(id="m", kind=kind, uri=uri)),))
        for uri, kind in media.items()
    ]
    decoding = Decoding(max_new_tokens=8, batch_size=4)
    found = list(generate(policy, requests, decoding))
    assert [answer.id for answer in found] == list(media)
    assert found == [next(iter(generate(policy, [request], decoding))) for request in requests]


def test_what_a_processor_refuses_is_told_with_the_record(folder: Path) -> None:
    """PaliGemma's takes no prompt of text alone."""
    with pytest.raises(RecordError, match=r"'none'.*the processor of paligemma refuses the prompt: `images` are expec"):
        forest_of(policy_of("paligemma"), folder, conversations("image")[2])


def test_a_second_clip_is_refused_where_a_processor_takes_one(folder: Path) -> None:
    with pytest.raises(RecordError, match=r"'two'.*the processor of molmo2 refuses the prompt: At most one video is"):
        forest_of(policy_of("molmo2"), folder, conversations("video")[1])


def test_recordings_are_refused_where_the_model_has_no_ear_but_its_processor_has(folder: Path) -> None:
    """The larger models of Gemma-4 share the processor of those that hear."""
    hearing = policy_of("gemma4")
    deaf = zoo_policy("gemma4_small", processor=hearing.encoder.processor)
    with pytest.raises(ModelError, match="the data have recordings, but gemma4_small takes none"):
        forest_of(deaf, folder, conversations("audio")[0])
    assert forest_of(deaf, folder, conversations("image")[0]).rows[0].prompt.media_inputs


def film_of(policy: Policy, folder: Path, **options: Any) -> Any:
    example = make_items([record("one", turn("user", "a.mp4", "what is it"))], ["chosen", "rejected"])[0]
    return encoder_of(policy, folder, **options).prompt(example, PAIR[0])


def test_the_times_of_frames_reach_the_model(folder: Path) -> None:
    """Two frames make one step in time: 1 s apart at 2 frames per second, 0.4 s at 5."""
    policy = policy_of("qwen2_5_vl")
    seconds = {
        per_s: film_of(policy, folder, sampling=FrameSampling(per_s=per_s)).media_inputs["second_per_grid_ts"].item()
        for per_s in (2.0, 5.0)
    }
    assert seconds == pytest.approx({2.0: 1.0, 5.0: 0.4})


def test_every_clip_of_a_prompt_has_times_of_its_own(folder: Path) -> None:
    """Qwen3-VL writes them into the prompt; the second clip lasts twice as long."""
    (folder / "b.mp4").write_bytes(clip(40))
    policy = policy_of("qwen3_vl")
    encoder = encoder_of(policy, folder, sampling=FrameSampling(per_s=2))
    shown = [record(x, turn("user", f"{x}.mp4")) for x in "ab"] + [record("both", turn("user", "a.mp4", "b.mp4"))]
    items = make_items(shown, ["chosen", "rejected"])
    texts = [policy.encoder.tokenizer.decode(encoder.prompt(item, PAIR[0]).input_ids) for item in items]
    first, second, both = ([float(time) for time in re.findall(r"<([\d.]+) seconds>", text)] for text in texts)
    assert second[-1] > first[-1] > 0
    assert both == first + second


def test_more_frames_are_more_of_the_prompt(folder: Path) -> None:
    """2 s of a clip: 2 frames are one grid of tokens, 4 frames are two."""
    policy = policy_of("qwen2_vl")
    grids = [
        film_of(policy, folder, sampling=FrameSampling(most=most)).media_inputs["video_grid_thw"][0, 0].item()
        for most in (2, 4)
    ]
    assert grids == [1, 2]


def test_all_kinds_stand_in_one_conversation_in_any_order(folder: Path) -> None:
    policy = policy_of("qwen2_5_omni_thinker")
    mixed = record(
        "all",
        turn("user", "a.wav", "hear this", "a.png", "see this", "a.mp4"),
        turn("assistant", "well"),
        turn("user", "b.png", "and", "b.wav", "and then"),
    )
    forest = forest_of(policy, folder, mixed, *conversations("audio"))
    with torch.no_grad():
        shared = policy(forest.rows)
        assert largest(shared, policy(forest.rows, shared=False)) < 1e-10
        assert largest(shared, official(policy, forest.rows)) < 1e-10


def test_a_generated_answer_reads_the_recording(folder: Path) -> None:
    policy = policy_of("qwen2_audio")
    read = PictureCache(Resolver(root=folder).read_medium)
    requests = [
        Request(
            id=name, messages=(turn("user", name, "what is it"),), images=(read(Media(id="m", kind="audio", uri=name)),)
        )
        for name in ("a.wav", "b.wav")
    ]
    both = list(generate(policy, requests, Decoding(max_new_tokens=8)))
    alone = [next(iter(generate(policy, [request], Decoding(max_new_tokens=8)))) for request in requests]
    assert [answer.text for answer in both] == [answer.text for answer in alone]
    assert both[0].text != both[1].text


def test_an_answer_is_rendered_behind_the_media_that_it_follows() -> None:
    """The template numbers recordings, so they must be counted as what they are."""
    encoder = policy_of("qwen2_audio").encoder
    encoder.processor.chat_template = (
        "{% set heard = namespace(n=0) %}{% for m in messages %}{{ m['role'] }}: {% for p in m['content'] %}"
        "{% if p['type'] == 'audio' %}{% set heard.n = heard.n + 1 %}Audio {{ heard.n }}"
        "{% else %}{{ p['text'] }}{% endif %}{% endfor %}</s>{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    asked, said = [turn("user", "a.wav", "what")], [turn("assistant", "see", "b.wav")]
    ids = encoder.answer(asked, said, ["audio", "audio"])
    assert encoder.tokenizer.decode(ids) == "seeAudio 2</s>"


@pytest.mark.parametrize(("kind", "called"), [("video", "clips"), ("image", "pictures")])
def test_media_that_a_model_cannot_take_are_refused_by_name(kind: str, called: str, folder: Path) -> None:
    policy = policy_of("qwen2_audio")
    with pytest.raises(ModelError, match=f"the data have {called}, but qwen2_audio takes none"):
        forest_of(policy, folder, conversations(kind)[0])


def test_a_recording_that_would_be_cut_is_refused(folder: Path) -> None:
    """This extractor hears 1 s; a longer recording would lose its end without a word."""
    (folder / "a.wav").write_bytes(recording(tone(1.5)))
    policy = policy_of("qwen2_audio")
    with pytest.raises(RecordError, match=r"lasts 1.5 s; qwen2_audio hears 1 s and would be given its beginning only"):
        forest_of(policy, folder, conversations("audio")[0])
    part = record("part", turn("user", "a.wav", "what is it"), clip_s=(0.5, 1.4))
    assert forest_of(policy, folder, part).rows[0].prompt.media_inputs["feature_attention_mask"].sum() == 18


def test_a_recording_that_an_extractor_cuts_by_default_is_refused(folder: Path) -> None:
    """Gemma-4's cuts at a length that only its call names."""
    policy = policy_of("gemma4")
    (folder / "a.wav").write_bytes(recording(tone(30.1)))
    with pytest.raises(RecordError, match=r"lasts 30.1 s; gemma4 hears 30 s and would be given its beginning only"):
        forest_of(policy, folder, conversations("audio")[0])


def test_clips_of_different_rates_do_not_share_a_prompt(folder: Path) -> None:
    """One lasts 20 s, of which few frames are drawn."""
    (folder / "b.mp4").write_bytes(clip(20, per_s=1))
    policy = policy_of("qwen2_vl")
    encoder = encoder_of(policy, folder, sampling=FrameSampling(per_s=2, most=4))
    (both,) = make_items([conversations("video")[1]], ["chosen", "rejected"])
    with pytest.raises(RecordError, match=r"clips of 0.2 and 2 frames per second stand in one prompt"):
        encoder.prompt(both, PAIR[0])


def test_pictures_in_a_row_are_shown_as_a_clip(folder: Path) -> None:
    policy = policy_of("qwen2_vl")
    shown = record("row", turn("user", "f.mp4", "what is it"))
    frames = Media(id="f.mp4", kind="frames", frames=("a.png",) * 4, fps=2.0)
    forest = forest_of(policy, folder, dataclasses.replace(shown, media=(frames,)))
    assert forest.rows[0].prompt.media_inputs["video_grid_thw"][0, 0] == 2


def test_a_missing_package_ends_the_run_with_its_install_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = policy_of("qwen2_audio")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(UsageError, match=r"pip install 'boresight\[audio\]'"):
        forest_of(policy, folder, conversations("audio")[0])


def test_a_damaged_recording_is_refused_with_its_record(folder: Path) -> None:
    (folder / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match=r"record 'one': recording 'a.wav' starts with"):
        forest_of(policy_of("qwen2_audio"), folder, conversations("audio")[0])


def test_only_inputs_known_to_be_per_token_are_taken_for_such(folder: Path) -> None:
    """A mask of a recording may be as long as the prompt, by chance; it is the recording's all the same."""
    policy = policy_of("qwen2_audio")
    base = conversations("audio")[0]
    length = forest_of(policy, folder, base).rows[0].prompt.num_tokens
    policy.encoder.processor.feature_extractor = wide = spectrogram()
    wide.nb_max_frames, wide.n_samples = length, 800 * length
    prompt = forest_of(policy, folder, base).rows[0].prompt
    assert prompt.media_inputs["feature_attention_mask"].shape == (1, prompt.num_tokens)
    assert not prompt.token_inputs


def test_special_tokens_of_every_kind_are_refused_in_text(folder: Path) -> None:
    policy = policy_of("qwen2_audio")
    for token in ("<audio>", "<sound>", "</sound>", "<video>"):
        with pytest.raises(RecordError, match=f"text holds '{token}', a special token"):
            policy.encoder.prompt([turn("user", f"say {token}")], [])


def test_blanked_media_are_a_gray_clip_and_silence(folder: Path) -> None:
    read = blanked(PictureCache(Resolver(root=folder).read_medium))
    quiet, gray = (read(Media(id="m", kind=kind, uri=FILES[kind])) for kind in ("audio", "video"))
    assert isinstance(quiet, Sound) and not quiet.samples.any() and len(quiet.samples) == 8_000
    assert isinstance(gray, Clip) and {f.getpixel((3, 3)) for f in gray.frames} == {(127, 127, 127)}
