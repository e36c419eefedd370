"""Films turned, inverted, cut and spoilt on purpose: what the gate's heads learn from. Needs torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch.nn import functional as F  # noqa: N812 - the name that torch's users know

from imaging_gate_examples import BRAIN, CHEST, OTHER

_ALLOWED = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 1.0))
UNKNOWN = -1.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """How often and how far examples are changed."""

    turned: float = 0.35  # share of films turned by 90, 180 or 270 degrees
    inverted: float = 0.25  # share inverted
    halved: float = 0.25  # share of films of which a part is cut off
    shuffled: float = 0.03  # share of films and brains whose tiles change places, which makes them neither
    # least and greatest part that is left of a cut film, along the cut side
    kept: tuple[float, float] = (0.4, 0.6)
    trimmed: float = 0.05  # greatest part that a whole film loses on each side
    tilt: float = 8.0  # greatest tilt in degrees either way
    stretch: float = 1.15
    framed: float = 0.3  # share with a margin of one grey around it
    sharpened: float = 0.3  # share with edges enhanced, as some machines store them
    written: float = 0.4  # share with writing on it


@dataclass(frozen=True, slots=True)
class Batch:
    """Images with what each head should say."""

    images: torch.Tensor  # (n, 1, size, size), float32, 0 to 1
    allowed: torch.Tensor  # (n, 3), 1 for each route that the image may have
    turn: torch.Tensor  # (n,), int64, 0 to 3 quarter turns, -1 where it means nothing
    inverted: torch.Tensor  # (n,), float32, 1 or 0, -1 where it means nothing
    cropped: torch.Tensor


class Augmenter:
    def __init__(self, size: int, recipe: Recipe, seed: int) -> None:
        self.size = size
        self.recipe = recipe
        self.random = torch.Generator().manual_seed(seed)
        self.writing = torch.from_numpy(_writing(size, 96, seed))

    def batch(self, squares: torch.Tensor, aspects: torch.Tensor, kinds: torch.Tensor) -> Batch:
        """Change examples at random: (n, side, side), uint8, whole images squeezed into a square.

        `aspects`, (n,), are width over height of each original, `kinds`, (n,), of CHEST to NOT_CHEST.
        """
        n, recipe = len(squares), self.recipe
        film = kinds == CHEST
        pixels = squares[:, None].float() / 255
        shuffled = self._chance(n, recipe.shuffled) & ((kinds == CHEST) | (kinds == BRAIN))
        pixels = torch.where(shuffled[:, None, None, None], self._tiles(pixels), pixels)
        kinds = torch.where(shuffled, OTHER, kinds)
        turn = torch.where(
            self._chance(n, recipe.turned), torch.randint(1, 4, (n,), generator=self.random), 0
        )
        halved = self._chance(n, recipe.halved) & film
        inverted = self._chance(n, recipe.inverted)
        centre, half = self._window(n, halved)
        inside, shown, margin = self._grid(aspects, turn, centre, half)
        images = self._expose(self._sharpen(F.grid_sample(pixels, inside, align_corners=False)))
        images = torch.where(inverted[:, None, None, None], 1 - images, images)
        images = self._place(images, shown, margin)
        known = film & ~shuffled
        either = (known | (kinds == BRAIN)) & ~shuffled
        return Batch(
            images=self._spoil(images).clamp(0, 1),
            allowed=torch.tensor(_ALLOWED)[kinds],
            turn=torch.where(known, turn, -1),
            inverted=torch.where(either, inverted.float(), UNKNOWN),
            cropped=torch.where(known, halved.float(), UNKNOWN),
        )

    def _chance(self, n: int, share: float) -> torch.Tensor:
        return torch.rand(n, generator=self.random) < share

    def _between(self, n: int, low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, generator=self.random)

    def _tiles(self, pixels: torch.Tensor) -> torch.Tensor:
        """Tiles of each image in another order: the texture of a film without a chest."""
        n, _, side, _ = pixels.shape
        cells = 2 + 2 * int(torch.randint(2, (1,), generator=self.random))
        tiles = pixels.unfold(2, side // cells, side // cells).unfold(3, side // cells, side // cells)
        tiles = tiles.reshape(n, cells * cells, side // cells, side // cells)
        order = torch.rand(n, cells * cells, generator=self.random).argsort(dim=1)
        tiles = torch.gather(tiles, 1, order[:, :, None, None].expand_as(tiles))
        tiles = tiles.reshape(n, cells, cells, side // cells, side // cells)
        return tiles.permute(0, 1, 3, 2, 4).reshape(n, 1, side, side)

    def _window(self, n: int, halved: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Centre and half size, each (n, 2) as (x, y) in -1 to 1, of the part of an image that is shown."""
        trim = self.recipe.trimmed
        low = -1 + 2 * trim * torch.rand(n, 2, generator=self.random)
        high = 1 - 2 * trim * torch.rand(n, 2, generator=self.random)
        kept = self._between(n, *self.recipe.kept)
        side = torch.randint(4, (n,), generator=self.random)
        for axis in (0, 1):
            first, last = halved & (side == 2 * axis), halved & (side == 2 * axis + 1)
            high[:, axis] = torch.where(first, -1 + 2 * kept, high[:, axis])
            low[:, axis] = torch.where(last, 1 - 2 * kept, low[:, axis])
        return (low + high) / 2, (high - low) / 2

    def _grid(
        self, aspects: torch.Tensor, turn: torch.Tensor, centre: torch.Tensor, half: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Where each output pixel looks.

        Returns:
            (n, size, size, 2): x and y in the example, each -1 to 1 inside; (n, 1, size, size): whether the
            pixel shows the image at all; and which of the images have a margin, (n,).
        """
        n, recipe = len(aspects), self.recipe
        log = math.log(recipe.stretch)
        shape = aspects * half[:, 0] / half[:, 1] * self._between(n, -log, log).exp()
        shape = torch.where(turn % 2 == 1, 1 / shape, shape)
        framed = self._chance(n, recipe.framed)
        room = torch.where(framed, self._between(n, 0.8, 1.0), torch.ones(n))
        wide, high = room * shape.clamp(max=1), room * (1 / shape).clamp(max=1)
        offset = (1 - torch.stack([wide, high], 1)) * self._between(2 * n, -1, 1).reshape(n, 2)
        # Without a margin the image lies in the middle, as the squares for the network do.
        offset = torch.where(framed[:, None], offset, 0)
        line = (torch.arange(self.size) + 0.5) / self.size * 2 - 1
        y, x = torch.meshgrid(line, line, indexing="ij")
        across = (x - offset[:, 0, None, None]) / wide[:, None, None]
        down = (y - offset[:, 1, None, None]) / high[:, None, None]
        angle = turn * (math.pi / 2) + self._between(n, -recipe.tilt, recipe.tilt) * (math.pi / 180)
        mirror = torch.where(self._chance(n, 0.5), -1.0, 1.0)
        cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
        u = (across * cos - down * sin) * mirror[:, None, None]
        v = across * sin + down * cos
        inside = torch.stack([u, v], -1) * half[:, None, None] + centre[:, None, None]
        return inside, ((across.abs() <= 1) & (down.abs() <= 1))[:, None], framed

    def _sharpen(self, images: torch.Tensor) -> torch.Tensor:
        """Edges enhanced and slow changes of tone taken out."""
        n = len(images)
        coarse = F.avg_pool2d(images, 8)
        slow = F.interpolate(coarse, (self.size, self.size), mode="bilinear", align_corners=False)
        gain = self._between(n, 0, 2.5) * self._chance(n, self.recipe.sharpened)
        fade = self._between(n, 0, 0.6) * (gain > 0)
        gain, fade = gain[:, None, None, None], fade[:, None, None, None]
        level = slow.mean(dim=(2, 3), keepdim=True)
        return images + gain * (images - slow) - fade * (slow - level)

    def _expose(self, images: torch.Tensor) -> torch.Tensor:
        """Other tone curves, windows and clipping."""
        n = len(images)
        gamma = self._between(n, -0.7, 0.7).exp()[:, None, None, None]
        low = (self._between(n, -0.3, 0.25))[:, None, None, None]
        high = (self._between(n, 0.75, 1.3))[:, None, None, None]
        toned = images.clamp(0, 1) ** gamma
        return ((toned - low) / (high - low)).clamp(0, 1)

    def _place(self, images: torch.Tensor, shown: torch.Tensor, framed: torch.Tensor) -> torch.Tensor:
        """Put what is shown before black, or before a margin of one grey."""
        n = len(images)
        grey = torch.where(self._chance(n, 0.5), 0.0, self._between(n, 0, 1))
        grey = torch.where(framed & self._chance(n, 0.3), 1.0, grey)
        grey = torch.where(framed, grey, 0)
        return torch.where(shown, images, grey[:, None, None, None])

    def _spoil(self, images: torch.Tensor) -> torch.Tensor:
        """Writing, blur and grain."""
        n = len(images)
        chosen = torch.randint(len(self.writing), (n,), generator=self.random)
        ink = self.writing[chosen][:, None] * self._chance(n, self.recipe.written)[:, None, None, None]
        shade = torch.where(self._chance(n, 0.8), 1.0, self._between(n, 0, 1))[:, None, None, None]
        images = images * (1 - ink) + shade * ink
        soft = F.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
        blur = self._between(n, 0, 1)[:, None, None, None] * self._chance(n, 0.4)[:, None, None, None]
        images = images * (1 - blur) + soft * blur
        grain = self._between(n, 0, 0.25) * self._chance(n, 0.4) * images.std(dim=(1, 2, 3))
        return images + torch.randn(images.shape, generator=self.random) * grain[:, None, None, None]


def _writing(size: int, count: int, seed: int) -> NDArray[np.float32]:
    """Masks of markers, lines of text and arrows, (count, size, size), 0 to 1."""
    random = np.random.default_rng(seed)
    masks = []
    for _ in range(count):
        page = Image.new("L", (size, size))
        draw = ImageDraw.Draw(page)
        for _ in range(int(random.integers(1, 5))):
            at = (int(random.integers(-4, size - 8)), int(random.integers(-2, size - 6)))
            word = str(random.choice(["R", "L", "SAĞ", "AP", "PORTABLE", "12.03.2019", "A. B. 54 Y", "--->"]))
            draw.text(at, word, fill=255, font=ImageFont.load_default(int(random.integers(5, 14))))
        if random.random() < 0.5:
            edge = int(random.choice([0, size - 6]))
            words = " ".join(str(number) for number in random.integers(0, 9999, 9))
            draw.text((1, edge), words, fill=200, font=ImageFont.load_default(5))
        masks.append(np.asarray(page, np.float32) / 255)
    return np.stack(masks)
