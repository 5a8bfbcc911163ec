"""The rules of the SDK are those of the model: its two corpora hold both, string by string."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from agenttrace import _facts, _privacy
from agenttrace._notes import Notes

CORPORA = Path(__file__).parents[2] / "model" / "tests" / "corpora"
REDACTED = "[redacted]"


def lines(name: str) -> list[str]:
    text = (CORPORA / name).read_text(encoding="utf-8")
    return [line for line in text.split("\n") if line and not line.startswith("#")]


def kept_name(text: str) -> str | None:
    return _privacy.Names(255, Notes(), "step").clean(text)


def kept_option(text: str) -> str | None:
    return _privacy.optional(text, 255, Notes(), "session_id")


def kept_message(text: str) -> str:
    failure = _facts.failure(Notes(), "tool", "timeout", text)
    message = failure["message"]
    assert isinstance(message, str)
    return message


def kept_in_step(metadata: dict[str, Any]) -> dict[str, Any]:
    return dict(_privacy.step_metadata(metadata, Notes()))


def harmless(line: str) -> bool:
    place, _, text = line.partition("\t")
    if place == "name":
        return kept_name(text) == text and kept_option(text) == text
    if place == "message":
        return kept_message(text) == text
    assert place in {"value", "key"}
    sent: dict[str, Any] = {text: "x"} if place == "key" else {"fact": text}
    notes = Notes()
    fits_a_fact = place == "key" or len(text) <= 100
    return (
        kept_in_step(sent) == sent
        and kept_in_step({"in": sent}) == {"in": sent}
        and _privacy.run_metadata(sent, notes) == sent
        and (not fits_a_fact or _privacy.fact_metadata(sent, notes, place="fact") == sent)
        and notes.count("removed") == 0
    )


def test_nothing_harmless_is_touched() -> None:
    corpus = lines("harmless.txt")
    assert len(corpus) >= 300
    assert [line for line in corpus if not harmless(line)] == []


def private(line: str) -> bool:
    place, rule, text = line.split("\t", 2)
    text = text.replace("·", "")
    if place == "message":
        kept = kept_message(text)
        return text != kept and (kept == REDACTED if rule == "refused" else f"[{rule}]" in kept or REDACTED in kept)
    if place == "name":
        return kept_name(text) == REDACTED and kept_option(text) is None
    if place == "key":
        return kept_in_step({text: "x"}) == {}
    if place == "value":
        return kept_in_step({"fact": text}) == {} and _privacy.run_metadata({"fact": text}, Notes()) == {}
    assert place == "nested"
    return kept_in_step({"a": {"b": [text]}}) == {"a": {"b": []}}


def test_nothing_private_is_missed() -> None:
    corpus = lines("private.txt")
    assert len(corpus) >= 300
    assert [line for line in corpus if not private(line)] == []


@pytest.mark.parametrize("cleaned", [kept_name, kept_message])
def test_cleaning_twice_is_cleaning_once(cleaned: Any) -> None:
    for line in [*lines("private.txt"), *lines("harmless.txt")]:
        once = cleaned(line.rpartition("\t")[2].replace("·", ""))
        assert cleaned(once) == once


def test_a_shape_behind_other_words_is_found_in_every_message() -> None:
    """In whatever company it stands: a shape that is found alone is found in a sentence, too."""
    for line in lines("private.txt"):
        place, rule, text = line.split("\t", 2)
        if place == "name" and rule in {"secret", "email", "card", "phone"}:
            shape = text.replace("·", "")
            assert shape not in kept_message(f"call 17 failed: {shape}, giving up")
            assert shape not in json.dumps(kept_in_step({"fact": [f"x {shape}"], "n": 1}))
