"""Body Part Examined and Modality in the words of the pages."""

from __future__ import annotations

from tetkik.language import Language, Sentence

_PARTS = {
    "ABDOMEN": Sentence("Abdomen"),
    "BRAIN": Sentence("Brain"),
    "BREAST": Sentence("Breast"),
    "CHEST": Sentence("Chest"),
    "CSPINE": Sentence("Cervical spine"),
    "FOOT": Sentence("Foot"),
    "HAND": Sentence("Hand"),
    "HEAD": Sentence("Head"),
    "HIP": Sentence("Hip"),
    "KNEE": Sentence("Knee"),
    "LSPINE": Sentence("Lumbar spine"),
    "NECK": Sentence("Neck"),
    "PELVIS": Sentence("Pelvis"),
    "SHOULDER": Sentence("Shoulder"),
    "SPINE": Sentence("Spine"),
    "THORAX": Sentence("Chest"),
}
_RADIOGRAPH = Sentence("X-ray")
_MODALITIES = {
    **dict.fromkeys(("CR", "DR", "DX", "RG"), _RADIOGRAPH),
    "CT": Sentence("CT"),
    "MG": Sentence("Mammography"),
    "US": Sentence("Ultrasound"),
}


def body_part(code: str, language: Language) -> str:
    """Body Part Examined in words; one without a word here as DICOM writes it."""
    return _PARTS[code].in_language(language) if code in _PARTS else code


def modality(code: str, language: Language) -> str:
    """Modality as radiologists call it; one without a word here as DICOM writes it."""
    return _MODALITIES[code].in_language(language) if code in _MODALITIES else code
