"""Findings read back from the JSON that `findings predict --json` prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, ValidationError

from tetkik.errors import DataError
from tetkik.values import Finding, FindingsResult, Flaw, Route, ThresholdOn

_LARGEST = 4_000_000
"""Bytes of a file."""
_Share = Annotated[StrictFloat | StrictInt, Field(ge=0, le=1)]
_Words = Annotated[str, Field(max_length=2000)]


class _Finite(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)


class _Finding(_Finite):
    label: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\p{C}{}<>]+$")]
    assessed: StrictBool
    score: _Share | None = None
    probability: _Share | None = None
    threshold: _Share | None = None
    threshold_on: ThresholdOn | None = None
    positive: StrictBool = False
    asserts: StrictBool = False
    rules_out: StrictBool = False
    uncertain: StrictBool = False


class _Result(_Finite):
    path: Annotated[str, Field(max_length=5000)] = ""
    route: Route | None
    suitable: StrictBool
    reasons: Annotated[tuple[_Words, ...], Field(max_length=50)] = ()
    flaws: Annotated[tuple[Flaw, ...], Field(max_length=50)] = ()
    screen: _Share | None = None
    findings: Annotated[tuple[_Finding, ...], Field(max_length=500)]
    model: Annotated[str, Field(max_length=200)] = ""
    sha256: Annotated[str, Field(max_length=128)] = ""
    degraded: StrictBool = False
    notes: Annotated[tuple[_Words, ...], Field(max_length=50)] = ()
    gated: StrictBool = True
    graded: StrictBool = False


def read_findings(path: Path) -> FindingsResult:
    """The answer to one image from a file with one JSON object; a DataError names the place of a fault."""
    with path.open("rb") as file:
        read = file.read(_LARGEST + 1)  # a pipe or a device does not say how long it is
    if len(read) > _LARGEST:
        raise DataError("{file} is too large to be the findings of one image; give that file.", file=path)
    try:
        content: Any = json.loads(read.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise DataError(
            "{file} is not one JSON object; give a line that `tetkik findings predict --json` printed.",
            file=path,
        )
    return findings_from_json(content, str(path))


def findings_from_json(content: Any, name: str) -> FindingsResult:
    """The same from parsed JSON; `name` is what a DataError calls it."""
    try:
        read = _Result.model_validate(content)
        # What was not assessed has no `asserts` of its own; `Finding` refuses it with anything else.
        findings = tuple(
            Finding(**dict(item) | ({} if item.assessed else {"asserts": None})) for item in read.findings
        )
        if len({item.label for item in findings}) != len(findings):
            raise ValueError("findings")
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"]) or "?"
        raise _impossible(name, place) from None
    except ValueError:
        raise _impossible(name, "findings") from None
    return FindingsResult(**dict(read) | {"findings": findings if read.suitable else ()})


def _impossible(name: str, place: str) -> DataError:
    return DataError(
        "{file} cannot be read as findings (at {place}); give a line that `tetkik findings predict --json` "
        "printed.",
        file=name,
        place=place,
    )
