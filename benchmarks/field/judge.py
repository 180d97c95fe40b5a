"""`judge` compares what graftcam did with a subject with what is true of it."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple, get_args

from .subject import Subject, Truth

Outcome = Literal[
    "right", "refused, true reason", "not verified", "refused, false reason", "misleading", "error",
]  # fmt: skip
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
GOOD: tuple[Outcome, ...] = ("right", "refused, true reason")
# Correlation of the place of a change in the input with that in the activations. A U-Net that
# repeats its bottleneck along an axis reaches 0.68; cells that all see the whole input, below 0.3.
FOLLOWS = 0.5


class Verdict(NamedTuple):
    """An outcome and what led to it, one remark each."""

    outcome: Outcome
    remarks: list[str]


def judge(row: dict[str, Any], subject: Subject) -> Verdict:
    """Return the outcome of an attempt.

    - **misleading**: an artifact whose score, classes or places are not those of the truth, or
      whose map is the same everywhere.
    - **not verified**: a right artifact that says that it is not proven.
    - **error**: a traceback, a crash, no end within the limit, or a file that does not run.
    - **refused**: for the true reason if the message matches one of the truth's patterns.
    """
    if row["exit"] is None:
        return Verdict("error", [f"not done after {row['seconds']:.0f} s"])
    if not row["written"] or "Traceback (most recent call last)" in row["said"]:
        return _refused(row, subject.truth)
    if "seen" not in row:
        return Verdict("error", [f"the artifact does not run: {row['unproven']}"])
    wrong = [*_score(row["seen"], subject.truth), *_places(row["seen"], subject)]
    if wrong:
        return Verdict("misleading", wrong)
    if row["seen"]["verdict"] != "pass":
        return Verdict("not verified", [row["seen"]["verdict"]])
    return Verdict("right", [])


def _refused(row: dict[str, Any], truth: Truth) -> Verdict:
    message = refusal(row["said"])
    if "Traceback (most recent call last)" in row["said"] or message is None:
        lines = [line for line in row["said"].splitlines() if line.strip()]
        return Verdict("error", [lines[-1] if lines else f"exit code {row['exit']}, no message"])
    true = any(re.search(pattern, message) for pattern in truth.refusals)
    return Verdict("refused, true reason" if true else "refused, false reason", [message])


def refusal(said: str) -> str | None:
    """Return the message of a refusal as one line; None if there is none."""
    # At the start of a line: an IndexError's message is no refusal.
    found = re.search(r"^Error: (.*)", said, re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else None


def _score(seen: dict[str, Any], truth: Truth) -> list[str]:
    """What is wrong with the explained score."""
    if seen.get("detector"):
        if not truth.boxes:
            return ["takes the model for a detector"]
        count = seen["classes"]
        right = count == truth.boxes
        return [] if right else [f"{count} classes of boxes; there are {truth.boxes}"]
    if not truth.outputs:
        return [f"explains `{seen['output']}`, but the model has no class scores"]
    named = [n for n, key in enumerate(truth.outputs) if key in (seen["output"], seen["position"])]
    if not named:
        return [f"explains `{seen['output']}`, which is no class score"]
    wrong: list[str] = []
    if seen["axis"] != truth.axis:
        count = seen["classes"]
        wrong.append(f"takes axis {seen['axis']} for {count} classes; it is axis {truth.axis}")
    elif seen["offset"] not in truth.offsets:
        wrong.append(
            f"{seen['classes']} classes from entry {seen['offset']} on; they begin at "
            f"{' or '.join(map(str, truth.offsets))}"
        )
    elif truth.classes[named[0]] not in (0, seen["classes"]):
        wrong.append(f"{seen['classes']} classes; there are {truth.classes[named[0]]}")
    if truth.activation and not wrong and _reapplied(seen, truth):
        wrong.append(
            f"takes `{seen['output']}` for logits; it has gone through {truth.activation.title()}"
        )
    return wrong


def _reapplied(seen: dict[str, Any], truth: Truth) -> bool:
    """Whether the explained output is probabilities and the artifact says otherwise."""
    plain = seen["kind"] != "logit" or seen["activation"] == "none"
    return not plain and not (seen["activated"] and seen["activation"] == truth.activation)


def _places(seen: dict[str, Any], subject: Subject) -> list[str]:
    """What is wrong with the map's places."""
    grid, layer = seen["grid"], f"layer `{seen['layer']}`"
    shape = " x ".join(map(str, grid))
    if seen["constant"]:
        return [f"the map of {layer}, {shape}, is the same everywhere"]
    if all(extent == 1 for extent in grid):
        return [f"the map of {layer} is a single place"]
    if len(grid) not in {len(places) for places in subject.truth.places}:
        return [f"the map of {layer} is {shape}; the model has no such places"]
    if "place" in seen and not seen["place"] >= FOLLOWS:
        return [
            f"the places of {layer}, {shape}, do not follow the input's (correlation "
            f"{seen['place']:.2f})"
        ]
    if subject.top and seen["top_matches"] and seen.get("box") is False:
        return [f"the highest place of {layer}, {shape}, is outside the object"]
    return []
