"""The answer that a language model must give, and its reading: what does not fit is no draft."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from tetkik.report.llm.interface import ModelFault
from tetkik.values import Certainty, DraftSentence, Section
from tetkik.values.common import one_line

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
        DraftSentence(one_line(item.text), item.section, tuple(dict.fromkeys(item.evidence)), item.certainty)
        for item in ordered
    )
