"""ModernBERT (as TabiBERT): local and global attention, rotary positions, texts of up to 8,192 tokens."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.lab.triage.transformer.conftest import WORDS
from tests.tiny_bert import write_bert
from tetkik.bundle import Manifest
from tetkik.lab.triage.transformer.data import Base, load_classifier, open_base
from tetkik.lab.triage.transformer.train import check_parity, export_fp32, quantise
from tetkik.triage.transformer import OnnxNetwork, OnnxTransformer


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    folder = tmp_path_factory.mktemp("modern")
    pieces = [word for part in WORDS.values() for word in part]
    write_bert(folder, pieces, layers=1, max_length=8192)
    (folder / "model.safetensors").unlink()
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=len(pieces) + 4,
        hidden_size=16,
        num_hidden_layers=1,
        layer_types=["sliding_attention"],
        num_attention_heads=2,
        intermediate_size=16,
        initializer_range=0.4,
        **{f"{name}_token_id": at for at, name in enumerate(("pad", "unk", "cls", "sep"))},
    )
    ModernBertForMaskedLM(config).save_pretrained(folder)
    return open_base(str(folder), 8192)


def test_a_modernbert_reads_8192_tokens_and_runs_in_int8(base, tmp_path):
    assert base.max_length == 8192
    model = load_classifier(base, tuple(WORDS), seed=0)
    files = {"fp32": tmp_path / "model-fp32.onnx", "int8": tmp_path / "model.onnx"}
    export_fp32(model, files["fp32"])
    quantise(files["fp32"], files["int8"])
    long = " ".join(WORDS["Ortopedi"] * 40)  # beyond the window of local attention, 128 tokens
    reader = base.reader()
    assert [len(row) for row in reader.read([long, f"{long} " * 30])] == [322, 8192]
    found = check_parity(model, reader, **files, texts=["gözüm bulanık", long], max_length=256)
    assert found.fp32 < 1e-5 and found.int8 < 0.1
    logits = OnnxNetwork(tmp_path, files["fp32"], reader).logits(["gözüm bulanık", long])
    assert np.abs(logits[0] - logits[1]).max() > 1e-3  # the text does matter


def test_the_evidence_of_a_long_text_is_asked_for_in_smaller_batches():
    class Recording:
        """A network that takes as many token numbers for a text as the text says."""

        reader = SimpleNamespace(read=lambda texts: [np.zeros(int(text), np.int64) for text in texts])
        batches: ClassVar[list[int]] = []

        def logits_together(self, rows: list[NDArray[np.int64]]) -> NDArray[np.float32]:
            self.batches.append(len(rows))
            return np.zeros((len(rows), 2), np.float32)

    model = OnnxTransformer(cast("Manifest", None), cast("OnnxNetwork", Recording()), 1.0)
    for length, together in (("512", 16), ("1024", 4), ("2048", 1), ("8192", 1)):
        Recording.batches.clear()
        assert len(model._log_odds([length] * 20, 0)) == 20
        assert max(Recording.batches) == together
