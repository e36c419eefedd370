"""What a finding is called, for people: its clinical name in English and in Turkish."""

from __future__ import annotations

from types import MappingProxyType

from tetkik.language import Language, Sentence

_NAMES = MappingProxyType(
    {
        "Atelectasis": Sentence("Atelectasis"),
        "Cardiomegaly": Sentence("Cardiomegaly"),
        "Effusion": Sentence("Pleural effusion"),
        "Infiltration": Sentence("Infiltration"),
        "Mass": Sentence("Mass"),
        "Nodule": Sentence("Nodule"),
        "Pneumonia": Sentence("Pneumonia"),
        "Pneumothorax": Sentence("Pneumothorax"),
        "Consolidation": Sentence("Consolidation"),
        "Edema": Sentence("Pulmonary oedema"),
        "Emphysema": Sentence("Emphysema"),
        "Fibrosis": Sentence("Fibrosis"),
        "Pleural_Thickening": Sentence("Pleural thickening"),
        "Hernia": Sentence("Hiatal hernia"),
        "COVID-19": Sentence("COVID-19 pneumonia"),
        "Viral_Pneumonia": Sentence("Viral pneumonia"),
        "Tuberculosis": Sentence("Tuberculosis"),
        "Normal": Sentence("Normal"),
        "Glioma": Sentence("Glioma"),
        "Meningioma": Sentence("Meningioma"),
        "Pituitary": Sentence("Pituitary tumour"),
        "No_Tumor": Sentence("No tumour"),
        # Labels that other models have beside the shared ones.
        "Enlarged_Cardiomediastinum": Sentence("Enlarged cardiomediastinum"),
        "Fracture": Sentence("Fracture"),
        "Lung_Lesion": Sentence("Lung lesion"),
        "Lung_Opacity": Sentence("Lung opacity"),
        "Pleural_Other": Sentence("Other pleural abnormality"),
        "Support_Devices": Sentence("Support devices"),
    }
)


def label_name(label: str, language: Language) -> str:
    """The clinical name of `label`; a label that is not known is shown as the model spells it.

    Args:
        label: as a manifest has it, such as `Pleural_Thickening`.
        language: of the name.
    """
    name = _NAMES.get(label) or _NAMES.get(label.replace(" ", "_"))
    return name.in_language(language) if name else label.replace("_", " ")
