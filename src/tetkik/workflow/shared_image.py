"""The image as a language model gets it: pixels alone, bounded in size, text in it blackened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tetkik.imaging.burned_in import text_if_looked
from tetkik.imaging.key_picture import key_picture
from tetkik.language import Sentence
from tetkik.values import Actor, Radiograph

if TYPE_CHECKING:
    from tetkik.records.database import Records
    from tetkik.records.images.images import StoredImage
    from tetkik.report.llm import LanguageModel

BeforeSending = Callable[[str], None]
"""Called with the host that gets the image, before it does: for the audit trail."""


def audit_sending(records: Records, actor: Actor, image: StoredImage, host: str) -> None:
    """Note in the trail, before it happens, that a language model gets an image."""
    from tetkik.records.audit_chain import Action

    with records.write(actor) as tx:
        tx.audit_about(Action.IMAGE_SENT, image, host=host)


def picture_for(
    writer: LanguageModel | None,
    image: Radiograph | None,
    *,
    suitable: bool,
    before_sending: BeforeSending | None = None,
) -> tuple[bytes | None, Sentence | None]:
    """What `writer` gets of an image, as a PNG, and why it gets none although it may.

    Args:
        suitable: whether the quality gate took the image: what is no radiograph may be a letter.
    """
    host = None if writer is None else writer.image_host
    if host is None or image is None or not suitable:
        return None, None
    picture = picture_without_text(image)
    if picture is None:
        return None, Sentence(
            "The language model did not get the image: there may be text in it that was not found."
        )
    if before_sending is not None:
        before_sending(host)
    return picture, None


def picture_without_text(image: Radiograph) -> bytes | None:
    """The image as a PNG of 8 bits and at most 1,200 pixels a side; None where text may be left in it.

    A photograph of a film often has a name that somebody wrote by hand, which nothing here finds.
    """
    if image.degraded or image.tags.burned_in:
        return None
    pixels = image.pixels.copy()
    for _ in range(2):  # the second time nothing may be found
        written = False
        for turns in range(4):
            turned = np.rot90(pixels, turns)
            lines = text_if_looked(replace(image, pixels=turned.copy()))
            if lines is None:
                return None
            for top, _, bottom, _ in lines:
                # Short names, which are not found, stand beside a line, above it and under it.
                high = bottom - top
                turned[max(0, top - 2 * high) : bottom + 2 * high] = 0
                written = True
        if not written:
            return key_picture(replace(image, pixels=pixels))
    return None
