"""Tiny random image classifiers of transformers, built and saved where a test wants them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NAMES = ("Atelectasis", "pleural effusion", "No Finding", "Nodule/Mass", "COVID19")
SHARED = ("Atelectasis", "Effusion", "Normal", "Nodule/Mass", "COVID-19")
MULTI = "multi_label_classification"
SINGLE = "single_label_classification"


def write_classifier(
    folder: Path,
    kind: str = "resnet",
    names: Sequence[str] = NAMES,
    problem: str | None = MULTI,
    processor: dict[str, Any] | None = None,
) -> Path:
    """A ResNet, ViT, Swin or ConvNeXt of a few thousand weights, large enough that its answers differ."""
    import torch
    import transformers

    torch.manual_seed(0)
    tokens = {
        "image_size": 32,
        "patch_size": 8,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    stages: dict[str, Any] = {"depths": [1, 1], "hidden_sizes": [8, 16]}
    settings: dict[str, tuple[str, dict[str, Any]]] = {
        "resnet": ("ResNet", {"embedding_size": 8, **stages}),
        "vit": ("ViT", tokens),
        "swin": (
            "Swin",
            {
                "image_size": 32,
                "patch_size": 4,
                "embed_dim": 8,
                "depths": [1, 1],
                "num_heads": [2, 2],
                "window_size": 4,
            },
        ),
        "convnext": ("ConvNext", {"image_size": 32, "num_stages": 2, **stages}),
    }
    name, values = settings[kind]
    config = getattr(transformers, f"{name}Config")(
        **values, num_labels=len(names), id2label=dict(enumerate(names)), problem_type=problem
    )
    model = getattr(transformers, f"{name}ForImageClassification")(config)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, torch.nn.Linear):
                part.weight.normal_(0, 0.5)
    model.save_pretrained(folder)
    if processor is None:
        processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
        processor |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), encoding="utf-8")
    return folder
