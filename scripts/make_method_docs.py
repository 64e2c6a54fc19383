"""Write docs/methods/*.md from what the methods declare.

python scripts/make_method_docs.py            write what is out of date
python scripts/make_method_docs.py --check    write nothing; exit code 1 if anything is out of date
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import make_docs

from boresight import registry
from boresight.cli.listing import Listed, members
from boresight.training.spec import TOWERS, VISION_TOWERS, to_jsonable

FOLDER = Path(__file__).parents[1] / "docs" / "methods"
PACKAGE = "boresight.methods"
COMPARISON = Path(__file__).parents[1] / "docs" / "proofs" / "method_comparison.json"
_MARK = "<!-- Written by scripts/make_method_docs.py from the method's file. Change that file, then run the script. -->"
# Written after looking at the figures and at the logs of seed 0; to be looked at again when they are measured anew.
_WHY = """\
What compares the answers (`dpo`, `dpo:ipo`, `kto`, `simpo`, `ddpo`, `v_dpo`, `csr`) removes most. `sft`, the control,
and `orpo`, which is mostly that, remove about six tenths of that: the chosen answers alone teach something here.
`mdpo` spends part of its steps on the crop. Rounds (`csr`, a third of the steps each) are no better than one pass,
since each had the same pairs: the published runs make new ones.

Two hardly help, or cost something. **`token_tpo`**: its loss falls to .08 while the chosen answers gain hardly more
over the rejected ones than under `dpo` (1.5 against 1.3 nats at the last step); its margin of 2.7 comes from the
credit for what the clean picture supports more than the noised one, which is easily raised for all answers alike.
**`image_dpo`** never sees a rejected answer: its loss is all but gone after half of the steps (.01), once the
corrupted picture is told apart, and it loses coverage. `v_dpo` and `kto` answer shorter than the others. Yes/no
answers change little, since no method was trained on questions; `token_tpo` says yes less often."""
_UNSAID = ("kind", "weight", "plus", "strength", "scale_by", "better", "worse", "good", "bad", "target", "baseline")


def pages() -> dict[str, str]:
    """The text of every page, by file name."""
    listed = members("methods")
    return {"README.md": _index(listed)} | {f"{m.name}.md": _page(m) for m in listed}


def _index(listed: Sequence[Listed]) -> str:
    rows = []
    for member in listed:
        facts = registry.load(PACKAGE, member.name).facts()
        stages = ", ".join(s["name"] + (f" x {s['rounds']}" if s["rounds"] > 1 else "") for s in facts["stages"])
        inputs = ", ".join(facts["inputs"]) or "-"
        name = f"[{member.name}]({member.name}.md)"
        rows.append((name, ", ".join(facts["modality"]), stages, inputs, facts["reference"], member.summary))
    return "\n".join(
        [
            _MARK,
            "",
            "# Methods",
            "",
            "One file each in `src/boresight/methods`. `boresight align --method NAME`; a variant is `NAME:VARIANT`.",
            "",
            *make_docs.table(
                ("method", "published for", "stages", "further inputs", "reference", "in a sentence"), rows
            ),
            "",
            *_comparison(json.loads(COMPARISON.read_text(encoding="utf-8"))),
        ]
    )


def _comparison(measured: Mapping[str, Any]) -> list[str]:
    """What `scripts/compare_methods.py` found, as a table."""
    rows = []
    for name, found in measured["methods"].items():
        metrics = found["metrics"]
        seen = [m["value"] for m in (metrics.get("margin"), metrics.get("margin@null")) if m and m["value"] is not None]
        rows.append(
            (
                name,
                *(_figure(metrics[metric]) for metric in ("chair_i", "coverage", "f1", "yes_ratio")),
                f"{seen[0]:+.2f} ({seen[1]:+.2f})" if len(seen) == 2 else "-",
                f"{metrics['length_tokens']['value']:.1f}",
                "-" if found["train_s"] is None else f"{found['train_s']:.0f}",
            )
        )
    seeds, pairs = measured["seeds"], sum(measured["pairs"]) / len(measured["pairs"])
    return [
        "## Compared on the scenes world",
        "",
        f"`{measured['command']}` at commit {measured['commit']}: "
        f"{len(seeds)} seeds of sampling and training, {pairs:.0f} pairs each (the base "
        f"model's own samples, judged by the world's oracle), {measured['test_scenes']} test scenes. All methods have "
        "the same data, steps, learning rate and trained weights; none was tuned. Under a value stands its difference "
        "from the base with a 95 % interval that allows for scenes and seeds. The margin is of held-out pairs, in "
        "parentheses with their pictures blanked; seconds are for training one seed, on a shared machine.",
        "",
        *make_docs.table(
            ("method", "chair_i", "coverage", "yes/no F1", "yes ratio", "margin, nats", "tokens", "seconds"), rows
        ),
        "",
        *_WHY.split("\n"),
        "",
    ]


def _figure(metric: Mapping[str, Any]) -> str:
    if "difference" not in metric:
        return f"{metric['value']:.3f}"
    low, high = metric["interval"]
    return f"{metric['value']:.3f}<br>{metric['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"


def _page(member: Listed) -> str:
    facts = registry.load(PACKAGE, member.name).facts()
    lines = [_MARK, "", f"# {member.name}", "", member.summary[:1].upper() + member.summary[1:], ""]
    lines += ["## Source", "", member.source or "", "", member.departures or "", ""]
    lines += ["## Data", "", *make_docs.table(("", ""), list(_data(facts))), ""]
    if facts["inputs"]:
        rows = [(f"`{name}`", _words(input)) for name, input in facts["inputs"].items()]
        lines += [
            "## Inputs beside the pictures as they are",
            "",
            *make_docs.table(("input", "what it shows"), rows),
            "",
        ]
    if facts["token_weights"]:
        lines += ["## Token weights", "", _words(facts["token_weights"]), ""]
    lines += _stages(facts)
    for variant in registry.variants(PACKAGE, member.name):
        lines += [f"## Variant `{member.name}:{variant}`", "", *_difference(member.name, variant), ""]
    return "\n".join([*lines, "## Use", "", "```", _command(member.name), "```", ""])


def _data(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "published for", ", ".join(facts["modality"])
    yield "an item is made of", {"auto": "what the objective reads"}.get(facts["reads"], facts["reads"])
    yield "construction", f"`{facts['construction']}`" if facts["construction"] else "any data of this kind"
    for text, meaning in facts["texts"].items():
        yield f"`{text}`", meaning


def _stages(facts: Mapping[str, Any]) -> list[str]:
    lines = []
    for stage in facts["stages"]:
        rounds = f", {stage['rounds']} rounds" if stage["rounds"] > 1 else ""
        lines += [f"## Stage `{stage['name']}`{rounds}", ""]
        lines += [*_terms(stage["terms"]), ""]
        lora = stage["lora"]
        settings = [
            ("learning rate", f"{stage['learning_rate']:g}, {stage['schedule']}, warm-up {stage['warmup']:g}"),
            ("epochs, items per step", f"{stage['epochs']:g}, {stage['batch_items']}"),
            ("weights trained", f"LoRA of rank {lora['rank']}, alpha {lora['alpha']:g}" if lora else _trained(stage)),
        ]
        lines += [*make_docs.table(("", ""), settings), ""]
    return [*lines, f"Reference: {facts['reference']}.", ""]


def _terms(terms: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [(f"{term['weight']:g}", f"`{term['kind']}`", *_term(term)) for term in terms]
    return make_docs.table(("weight", "term", "of", "with"), rows)


def _trained(stage: Mapping[str, Any]) -> str:
    what = f"only {_parts(stage['trained'])}" if stage["trained"] else "all"
    return what + (f" but {_parts(stage['frozen'])}" if stage["frozen"] else "")


def _parts(words: Sequence[str]) -> str:
    """Parts of a model, with the many names of its towers put in short."""
    for names, short in ((TOWERS, "the towers"), (VISION_TOWERS, "the vision towers")):
        if set(names) <= set(words):
            words = (short, *(word for word in words if word not in names))
    return ", ".join(words)


def _term(term: Mapping[str, Any]) -> tuple[str, str]:
    """What a term compares, and what it declares beside that."""
    sides = [_side(term[name]) for name in ("better", "worse", "good", "bad", "target") if _is_side(term.get(name))]
    sides += [
        f"{m['factor']:g} ({_side(m['better'])} > {_side(m['worse'])}, {m['kind']})" for m in term.get("plus", ())
    ]
    more = [f"{name} {_words(value)}" for name, value in term.items() if name not in _UNSAID and not _is_side(value)]
    more += [f"{n} {_words(term[n])}" for n in ("strength", "baseline", "scale_by") if term.get(n)]
    if isinstance(term.get("target"), float) and term["target"]:
        more.append(f"target {term['target']:g}")
    return " > ".join(sides[:2]) + "".join(f" + {side}" for side in sides[2:]), ", ".join(more)


def _is_side(value: Any) -> bool:
    return isinstance(value, Mapping) and (
        "text" in value or "target" in value or ("kind" in value and "of" not in value)
    )


def _side(value: Mapping[str, Any]) -> str:
    if "target" in value:
        return f"{value['kind'].lower()} {_side(value['target'])}"
    return value["text"] if value["input"] == "clean" else f"{value['text']}@{value['input']}"


def _difference(name: str, variant: str) -> list[str]:
    """Its terms where they differ, and every other setting in which it differs, by path."""
    own, other = (to_jsonable(registry.load(PACKAGE, n)) for n in (name, f"{name}:{variant}"))
    own_terms, terms = own.pop("objective"), other.pop("objective")
    lines = [*_terms(terms), ""] if own_terms != terms else []
    old, new = dict(_leaves(own)), dict(_leaves(other))
    rows = [
        (f"`{path}`", _words(old.get(path)), _words(new.get(path)))
        for path in dict.fromkeys((*old, *new))
        if old.get(path) != new.get(path)
    ]
    return lines + (make_docs.table(("setting", "default", variant), rows) if rows else [])


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else None
    if pairs is None:
        yield path, value
        return
    for key, inner in pairs:
        yield from _leaves(inner, f"{path}.{key}" if path else str(key))


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        if "text" in value and "input" in value:
            return _side(value)
        fields = ", ".join(f"{k} {_words(v)}" for k, v in value.items() if k != "kind")
        return f"`{value.get('kind', '')}`" + (f" ({fields})" if fields else "")
    if isinstance(value, list):
        return ", ".join(_words(v) for v in value) or "none"
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def _command(name: str) -> str:
    return f"boresight align --model DIR --data DATA --method {name} --out runs/{name}"


if __name__ == "__main__":
    names = make_docs.stale(FOLDER, pages()) if "--check" in sys.argv[1:] else make_docs.write(FOLDER, pages())
    print(*names or ["every page is current"], sep="\n")
    sys.exit(bool(names) and "--check" in sys.argv[1:])
