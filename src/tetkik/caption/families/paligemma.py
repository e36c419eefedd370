"""PaliGemma (Beyer et al., 2024): SigLIP at a fixed square, one linear projection, Gemma.

Image and prompt are read in both directions, the caption after them word by word. The answer is that of
`PaliGemmaForConditionalGeneration`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tetkik.caption.families.staged import IGNORED, SpecialTokens, Stage, StagedNetwork, numbers_of
from tetkik.caption.network import Cut


class PaliGemmaNetwork(StagedNetwork):
    """Any `PaliGemmaForConditionalGeneration`: PaliGemma and PaliGemma 2."""

    family = "paligemma"
    usual = "PaliGemmaForConditionalGeneration"
    default_prompt = "caption en"
    # Before it images were scaled elsewhere, and the mask of a prompt depended on labels.
    least = 5
    language = "model.language_model"
    projection = "model.multi_modal_projector"
    processor = "PaliGemmaProcessor"
    image_processor = "SiglipImageProcessor"
    kept_whole = ("model.vision_tower", "model.multi_modal_projector", "lm_head")

    @staticmethod
    def settle(core: Any) -> None:
        """Let generation start from vectors, which its language model can; its norms are fp32 already."""
        usual = core.prepare_inputs_for_generation

        def prepare(input_ids: Tensor, inputs_embeds: Tensor | None = None, **kwargs: Any) -> Any:
            return usual(input_ids, inputs_embeds=inputs_embeds, **kwargs)

        # transformers looks for `inputs_embeds` among the arguments by name.
        core.prepare_inputs_for_generation = prepare

    def more_of_images(self) -> dict[str, Any]:
        """How many placeholders stand for the image."""
        return {"image_seq_length": self.stages()[0].shape[0]}

    def stages(self) -> tuple[Stage, ...]:
        vision = self.core.config.vision_config
        tokens = (vision.image_size // vision.patch_size) ** 2
        return (
            Stage(Cut.VISION, ("model.vision_tower",), self._see, (tokens, vision.hidden_size)),
            Stage(
                Cut.PROJECTION,
                ("model.multi_modal_projector",),
                self._project,
                (tokens, self.core.config.text_config.hidden_size),
            ),
        )

    def _see(self, pixels: Tensor) -> Tensor:
        tower = self.core.model.vision_tower
        features: Tensor = tower(pixels.to(numbers_of(tower))).last_hidden_state
        return features

    def _special_tokens(self) -> SpecialTokens:
        tokenizer = self.words.tokenizer
        return SpecialTokens(tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)

    def _before(self) -> list[int]:
        """The prompt as PaliGemma was trained with it: beginning, words, line break."""
        words = [int(token) for token in self.words.encode([self.prompt.strip() + "\n"])[0]]
        return [*([] if self.special.start is None else [self.special.start]), *words]

    def _compose(self, row: Sequence[int], ended: bool) -> tuple[list[int], int]:
        before = self._before()
        return [*before, *row, *([self.special.end] if ended else [])], len(before)

    def hidden(self, image: Tensor, ids: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        learned = targets != IGNORED
        read, known = self._read(image, ids, mask)
        # 0: read in both directions (image and prompt); 1: the caption.
        kinds = torch.cat([known.new_zeros(image.shape[:2]), learned.to(known.dtype)], dim=1)
        states = self.core.model(
            inputs_embeds=read,
            attention_mask=known,
            token_type_ids=kinds,
            # From 1 on, as PaliGemma counts, and wherever the filling stands.
            position_ids=known.cumsum(dim=1).clamp(min=1),
            use_cache=False,
        ).last_hidden_state
        predicting: Tensor = states[:, image.shape[1] - 1 : -1][learned]
        return predicting

    def _generate(self, image: Tensor, config: Any) -> Tensor:
        read, known = self._read(image, *self._beginnings(image))
        config.bos_token_id = self.special.start
        tokens: Tensor = self.core.generate(
            inputs_embeds=read,
            attention_mask=known,
            token_type_ids=torch.zeros_like(known),
            generation_config=config,
        )
        return tokens
