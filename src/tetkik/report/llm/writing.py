"""A draft by a language model: the question, a bounded number of tries, and never more time than allowed.

What the model gets is a closed list of facts with ids, passages with ids, and the free text of people as
quoted data. What it answers is checked by a schema here and sentence by sentence by the grounding check
afterwards, so that an instruction hidden in a history has nothing to gain.
"""

from __future__ import annotations

import json
import re
import threading
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from tetkik.language import Language
from tetkik.report.deidentify import without_identifiers
from tetkik.report.facts import Facts
from tetkik.report.llm.interface import Completion, Deadline, LanguageModel, ModelFault, Prompt, Usage
from tetkik.values import Certainty, DraftSentence, Identity, Passage, Section, label_name
from tetkik.values.common import one_line

_TRIES = 3
_LONGEST_TEXT = 2000
"""Characters of a history or a caption that are passed on."""

_RULES = resources.files(__package__).joinpath("rules.txt").read_text("utf-8")
_IMAGE_RULES = resources.files(__package__).joinpath("image_rules.txt").read_text("utf-8")
_LANGUAGES = {Language.TR: "Turkish", Language.EN: "English"}


_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=600)]


class WrittenSentence(BaseModel):
    model_config = ConfigDict(extra="forbid")

    section: Section = Field(description="The part of the report that it belongs to.")
    text: _Text = Field(description="One sentence.")
    evidence: list[str] = Field(description="Ids of the facts and passages that it rests on.", max_length=12)
    certainty: Certainty | None = Field(description="As given with the fact; null where none is asserted.")


class WrittenDraft(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sentences: list[WrittenSentence] = Field(min_length=1, max_length=60)


def schema() -> dict[str, Any]:
    """JSON Schema of the answer, every property required, as servers with strict schemas ask."""
    found = WrittenDraft.model_json_schema()
    for part in (found, *found["$defs"].values()):
        if part.get("type") == "object":
            part["required"] = list(part["properties"])
    return found


def read_answer(text: str) -> tuple[DraftSentence, ...]:
    """The sentences of an answer in reading order; a ModelFault says where it is not of this form.

    A fence of Markdown around the JSON is taken off: some servers ignore the schema they were given.
    """
    fenced = _FENCE.match(text)
    try:
        written = WrittenDraft.model_validate(json.loads(fenced[1] if fenced else text))
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ModelFault(
            "The language model's answer has not the form of a draft (at {place}).", place=place or "?"
        ) from None
    except (ValueError, RecursionError):
        raise ModelFault("The language model's answer is not JSON.") from None
    order = list(Section)
    ordered = sorted(written.sentences, key=lambda item: order.index(item.section))
    return tuple(
        DraftSentence(
            one_line(unicodedata.normalize("NFC", item.text)),
            item.section,
            tuple(dict.fromkeys(item.evidence)),
            item.certainty,
        )
        for item in ordered
    )


@dataclass(frozen=True, slots=True)
class Written:
    sentences: tuple[DraftSentence, ...]
    usage: Usage


def write(
    model: LanguageModel,
    facts: Facts,
    passages: Sequence[Passage],
    language: Language,
    *,
    seconds: float,
    identity: Identity | None = None,
    image: bytes | None = None,
    on_text: Callable[[str], None] | None = None,
) -> Written:
    """Let a language model write the sentences of a draft, without the words of `identity`.

    `image` is a PNG that names nobody, for a model that may get it.
    Raises ModelFault, with the reason of the last try, where none gave a draft that can be used.
    """
    deadline = Deadline.after(seconds)
    prompt = make_prompt(facts, passages, language, identity)
    if image is not None:
        prompt = replace(prompt, system=prompt.system + _IMAGE_RULES, image=image)
    rules = prompt.system
    usage, fault = Usage(), ModelFault("The language model did not answer in time.")
    for _ in range(_TRIES):
        if not deadline.left:
            break
        try:
            completion = _in_time(model, prompt, deadline, on_text)
            usage += completion.usage
            return Written(read_answer(completion.text), usage)
        except ModelFault as error:
            fault = error
            # Of several refusals only the last is said.
            prompt = replace(prompt, system=f"{rules}\nYour last answer was refused: {error}")
    raise fault


def make_prompt(
    facts: Facts, passages: Sequence[Passage], language: Language, identity: Identity | None = None
) -> Prompt:
    """The question: rules, then everything that may be said as one JSON object."""

    def named(label: str, **more: Any) -> dict[str, Any]:
        return {"name": label_name(label, language), **more}

    content = {
        "image": facts.route,
        "projection": facts.inputs.technique,
        "present": [
            named(item.label, id=item.basis.id, certainty=item.certainty, side=item.side)
            for item in facts.present
        ],
        "absent": [named(item.key, id=item.id) for item in facts.absent],
        "unproven": [label_name(label, language) for label in facts.unproven],
        "not_assessed": [label_name(label, language) for label in facts.not_assessed],
        "changes": [named(label, id=f"prior:{label}", change=kind) for label, kind in facts.changes.items()],
        "other_ids": [item.id for item in facts.bases() if item.kind not in {"finding", "absence", "prior"}],
        "passages": [_passage(item, identity) for item in passages],
        "history": without_identifiers(_beginning(facts.inputs.history), identity),
        "caption": without_identifiers(_beginning(facts.inputs.caption), identity),
    }
    rules = _RULES.format(language=_LANGUAGES[language])
    return Prompt(rules, json.dumps(content, ensure_ascii=False, indent=1), schema())


def _passage(passage: Passage, identity: Identity | None) -> dict[str, str]:
    """A passage as the model gets it: a document of the hospital may name people."""
    own = passage.id.startswith("doc-")
    text = without_identifiers(passage.text, identity) if own else passage.text
    return {"id": f"passage:{passage.id}", "text": text}


def _beginning(text: str) -> str:
    """As much as is passed on, in whole words: half a name would not be known for one."""
    if len(text) <= _LONGEST_TEXT:
        return text
    words = text[:_LONGEST_TEXT].rsplit(maxsplit=1)
    return words[0] if len(words) > 1 else ""


def _in_time(
    model: LanguageModel, prompt: Prompt, deadline: Deadline, on_text: Callable[[str], None] | None
) -> Completion:
    """The answer, or a fault when the time is over, whatever the client is waiting for.

    Timeouts of clients do not cover everything (name resolution, a byte every few seconds), and a radiologist
    does not wait for a server.
    """
    answers: list[Completion | ModelFault] = []

    def ask() -> None:
        try:
            answers.append(model.complete(prompt, deadline, on_text))
        except ModelFault as fault:
            answers.append(fault)
        # Whatever a client raises ends in the composer's draft.
        except Exception as error:
            name = type(error).__name__
            answers.append(ModelFault("The language model cannot be reached ({fault}).", fault=name))

    thread = threading.Thread(target=ask, daemon=True, name="language-model")
    thread.start()
    thread.join(deadline.left)
    answer = answers[0] if answers else ModelFault("The language model did not answer in time.")
    if isinstance(answer, ModelFault):
        raise answer
    return answer
