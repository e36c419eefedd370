"""BLIP-2 (Li et al., 2023): vision tower, Q-Former, and OPT or Flan-T5.

The image's features stand before the words, as vectors: without placeholder tokens checkpoints from before
and after transformers 4.46 are one. The answer is that of `Blip2ForConditionalGeneration`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Blip2Config, Blip2ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling

from tetkik.caption.families.staged import IGNORED, SpecialTokens, Stage, StagedNetwork, in_fp32, numbers_of
from tetkik.caption.image_spec import ImageSpec
from tetkik.caption.network import Cut
from tetkik.networks.mobilenet import CHANNELS, mobilenet_v2

# MobileNetV2 (Sandler et al., CVPR 2018) as the vision tower of BLIP-2: an image becomes a grid of tokens.
#
# Where there is too little data to train a vision transformer, a network that knows ImageNet's textures is
# the better eye, and 2 million weights run on any CPU.


_MIDDLE = 96
"""Channels of the last stage on the grid of twice the resolution."""
_WAVES = 4
"""Wavelengths of the position code, each as sine and cosine in both directions."""
STRIDE = 32
"""Pixels between the centres of two tokens."""
WIDTH = CHANNELS + 4 * _MIDDLE + 4 * _WAVES
"""Of a token."""


class MobileNetTower(nn.Module):
    """MobileNetV2 with batch norm folded into its 52 convolutions, in the place of `Blip2VisionModel`.

    A token is a place of the last grid: its 1,280 channels, the 4 x 96 channels of the same area on the grid
    of twice the resolution, where small things are still seen, and where it lies (sines and cosines). Each
    part is normalised by its mean and standard deviation, without weights.
    """

    def __init__(self) -> None:
        super().__init__()
        # Named as in findings, so that one reader of checkpoints serves both.
        self.features = nn.Sequential(*mobilenet_v2(1).features.children())

    def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutputWithPooling:
        """Tokens, (images, (size / 32)^2, `WIDTH`), from (images, 3, size, size) normalised as for BLIP-2.

        What else a vision tower of transformers accepts is taken and ignored.
        """
        image = _to_one(pixel_values).to(next(self.parameters()).dtype)
        middle = image
        for layer in self.features:
            image = layer(image)
            if image.shape[1] == _MIDDLE:
                middle = image
        last = image
        finer = functional.pixel_unshuffle(middle, 2)
        parts = [_normalised(last), _normalised(finer), _places(last)]
        tokens = torch.cat(parts, dim=-1)
        return BaseModelOutputWithPooling(last_hidden_state=tokens, pooler_output=tokens.mean(dim=1))


def _to_one(pixels: Tensor) -> Tensor:
    """Pixels from -1 to 1, as this network was trained, so that any prepared image fits every BLIP-2."""
    spec = ImageSpec()
    mean, std = (pixels.new_tensor(values)[:, None, None] for values in (spec.mean, spec.std))
    return (pixels * std + mean) * 2 - 1


def _normalised(grid: Tensor) -> Tensor:
    """(images, channels, rows, columns) to (images, rows x columns, channels)."""
    tokens = grid.flatten(2).transpose(1, 2)
    return functional.layer_norm(tokens, tokens.shape[-1:])


def _places(grid: Tensor) -> Tensor:
    """Where each token lies, (images, rows x columns, 16)."""
    count, _, rows, columns = grid.shape
    codes = []
    for side in (rows, columns):
        turn = torch.arange(side, device=grid.device, dtype=torch.float32) * (torch.pi / side)
        waves = torch.stack([turn * 2.0**wave for wave in range(_WAVES)], dim=1)
        codes.append(torch.cat([waves.sin(), waves.cos()], dim=1))
    high = codes[0][:, None].expand(-1, columns, -1)
    wide = codes[1][None].expand(rows, -1, -1)
    code = torch.cat([high, wide], dim=-1).flatten(0, 1).to(grid.dtype)
    return code.expand(count, -1, -1)


class SmallBlip2(Blip2ForConditionalGeneration):  # type: ignore[misc]
    """BLIP-2 with `MobileNetTower` in the place of the vision transformer; all else is the parent's.

    Its configuration says `tetkik_vision: mobilenet_v2`. The parent builds a vision transformer of no layers
    before it is replaced.
    """

    def __init__(self, config: Blip2Config) -> None:
        super().__init__(config)
        self.vision_model = MobileNetTower()


class Blip2Network(StagedNetwork):
    """Any `Blip2ForConditionalGeneration`."""

    family = "blip2"
    usual = "Blip2ForConditionalGeneration"
    language = "language_model"
    bridge = "qformer"
    projection = "language_projection"
    processor = "Blip2Processor"
    image_processor = "BlipImageProcessor"
    kept_whole = ("vision_model", "qformer", "language_projection", "lm_head", "wo")

    @staticmethod
    def settle(core: Any) -> None:
        """Take to fp32 what overflows in fp16: the Q-Former, and the last layers of T5's blocks."""
        in_fp32(core.qformer)
        core.query_tokens.data = core.query_tokens.data.float()
        language = core.language_model
        if not core.config.use_decoder_only_language_model and numbers_of(language) == torch.float16:
            for name, part in language.named_modules():
                if name.endswith(".wo"):
                    in_fp32(part)

    def more_of_processor(self) -> dict[str, Any]:
        """How many placeholders it puts before the words (from transformers 4.46 on)."""
        return {"num_query_tokens": self.core.config.num_query_tokens}

    @property
    def _seq2seq(self) -> bool:
        return not self.core.config.use_decoder_only_language_model

    def stages(self) -> tuple[Stage, ...]:
        config = self.core.config
        queries = config.num_query_tokens
        return (
            Stage(Cut.VISION, ("vision_model",), self._see, self._vision_shape()),
            Stage(
                Cut.BRIDGE,
                ("query_tokens", "qformer"),
                self._query,
                (queries, config.qformer_config.hidden_size),
            ),
            Stage(
                Cut.PROJECTION,
                ("language_projection",),
                self._project,
                (queries, config.text_config.hidden_size),
            ),
        )

    def _vision_shape(self) -> tuple[int, int]:
        config = self.core.config.vision_config
        tokens = getattr(config, "tetkik_tokens", (config.image_size // config.patch_size) ** 2 + 1)
        return tokens, config.hidden_size

    def _see(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.core.vision_model(pixel_values=pixels).last_hidden_state
        return features

    def _query(self, features: Tensor) -> Tensor:
        queries = self.core.query_tokens
        features = features.to(queries.dtype)
        answer: Tensor = self.core.qformer(
            query_embeds=queries.expand(len(features), -1, -1),
            encoder_hidden_states=features,
            encoder_attention_mask=torch.ones(features.shape[:2], dtype=torch.long, device=features.device),
        ).last_hidden_state
        return answer

    def adapter_targets(self) -> tuple[str, ...]:
        return ("q", "v") if self._seq2seq else super().adapter_targets()

    def _special_tokens(self) -> SpecialTokens:
        config, tokenizer = self.core.config.text_config, self.words.tokenizer
        end, pad = config.eos_token_id, config.pad_token_id
        start = config.bos_token_id
        return SpecialTokens(
            tokenizer.bos_token_id if start is None else start,
            int(tokenizer.eos_token_id if end is None else end[0] if isinstance(end, list) else end),
            int(tokenizer.pad_token_id if pad is None else pad),
        )

    def _prompt(self) -> list[int]:
        words = self.prompt.strip()
        if not words:
            return []
        # A byte-level vocabulary keeps the space before the caption; T5's marks the start of each word.
        return [int(token) for token in self.words.encode([words if self._seq2seq else words + " "])[0]]

    def _compose(self, row: Sequence[int], ended: bool) -> tuple[list[int], int]:
        end = [self.special.end] if ended else []
        if self._seq2seq:
            return [*row, *end], 0
        start = [] if self.special.start is None else [self.special.start]
        before = [*start, *self._prompt()]
        return [*before, *row, *end], len(before)

    def _encoder_input(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """What T5's encoder reads: the image, then the prompt and its end; and the mask of both."""
        prompt = torch.tensor([[*self._prompt(), self.words.tokenizer.eos_token_id]], device=image.device)
        words = self.embeddings(prompt).expand(len(image), -1, -1)
        encoded = torch.cat([image, words], dim=1)
        return encoded, torch.ones(encoded.shape[:2], dtype=torch.long, device=image.device)

    def hidden(self, image: Tensor, ids: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        language: Any = self.language_model
        learned = targets != IGNORED
        if self._seq2seq:
            encoded, known = self._encoder_input(image)
            memory = language.encoder(inputs_embeds=encoded, attention_mask=known).last_hidden_state
            shifted = ids.roll(1, dims=1)
            shifted[:, 0] = language.config.decoder_start_token_id
            states = language.decoder(
                input_ids=shifted, encoder_hidden_states=memory, encoder_attention_mask=known, use_cache=False
            ).last_hidden_state
            scaled: Tensor = states[learned] * self._output_scale()
            return scaled
        read, known = self._read(image, ids, mask)
        body = getattr(language, language.base_model_prefix)
        states = body(inputs_embeds=read, attention_mask=known, use_cache=False).last_hidden_state
        # A word is predicted from the place before it, the first one from the last place of the image.
        predicting: Tensor = states[:, image.shape[1] - 1 : -1][learned]
        return predicting

    def _output_scale(self) -> float:
        """T5 with one matrix for words in and out scales before it; Flan-T5 has two (Raffel et al., 2020)."""
        config = self.core.config.text_config
        scales = getattr(config, "scale_decoder_outputs", config.tie_word_embeddings)
        return float(config.d_model) ** -0.5 if scales else 1.0

    def _generate(self, image: Tensor, config: Any) -> Tensor:
        language: Any = self.language_model
        if self._seq2seq:
            encoded, known = self._encoder_input(image)
            config.decoder_start_token_id = language.config.decoder_start_token_id
            tokens: Tensor = language.generate(
                inputs_embeds=encoded, attention_mask=known, generation_config=config
            )
            return tokens[:, 1:]
        read, known = self._read(image, *self._beginnings(image))
        config.bos_token_id = self.special.start
        # Without `input_ids` only the new tokens come back, and no penalty counts the prompt's.
        tokens = language.generate(inputs_embeds=read, attention_mask=known, generation_config=config)
        return tokens
