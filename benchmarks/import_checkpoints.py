"""Checkpoints of kinds that are seen in the wild, imported, against the output of their own library.

    python benchmarks/import_checkpoints.py [--folder DIR] [--export]

`pip` makes an environment of torchvision, torchxrayvision, timm, MONAI and transformers (some 6 GB;
`--folder` keeps it, and what is made in it, for the next time). There each kind is built with random
weights, its last layer scaled so that its answers differ from image to image, saved, and run on images of the
size of films: checkpoints of networks as torchvision's transforms prepare an image, torchxrayvision's and
transformers' as their own do, by Pillow where they have a choice. `tetkik findings import` then takes each
in, or refuses it, and the probabilities of the bundle are compared with the library's: those of its torch
weights, or with `--export` those of its ONNX network, whose export takes most of the time.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import venv
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("torchvision", "torchxrayvision", "timm", "monai", "transformers", "pillow", "scikit-image")
SHAPES = ((1024, 1024), (1403, 1120), (900, 1180))
"""Rows and columns of the images."""
LABELS = 5
EQUAL = 1e-4
_LETTERS = [chr(ord("A") + number) for number in range(LABELS)]
_OURS = ["--labels", ",".join(_LETTERS), "--activation", "sigmoid"]
_SPREAD = 1.5
"""Deviation of a label's logit from image to image."""

_CONVNEXT = ("ConvNextV2", "ResNet", "RegNet")
_OWNERS = {"Swin": "ViT", "Dinov2": "Bit", **dict.fromkeys(_CONVNEXT, "ConvNext")}
"""Whose processor those take that have none of their own."""

Transform = Callable[[Any], Any]
"""From a Pillow image to (1, channels, size, size)."""


class Maker:
    """Builds the checkpoints; runs in the libraries' environment."""

    def __init__(self, folder: Path) -> None:
        import torch
        from PIL import Image
        from torchvision import transforms

        self.torch: Any = torch
        self.folder = folder
        self.images = [Image.open(file) for file in sorted(folder.glob("image*.png"))]
        self.transforms = transforms
        self.cases: list[dict[str, Any]] = []

    def plain(self, channels: int = 3, size: int = 224) -> Transform:
        """Torchvision's: both sides resized, ImageNet's scaling; one channel as 0 to 1."""
        of = self.transforms
        scale = of.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        steps = [of.Resize((size, size)), of.ToTensor(), *([scale] if channels == 3 else [])]
        chain = of.Compose([of.Grayscale(channels), *steps])
        return lambda image: chain(image)[None]

    def add(
        self,
        kind: str,
        model: Any,
        *options: str,
        prepare: Transform | None = None,
        save: Callable[[Any, Path], Path] | None = None,
        answer: Callable[[Any], Any] | None = None,
    ) -> None:
        """Keep one case: what is saved, and the probabilities that its library gives."""
        torch, prepare = self.torch, prepare or self.plain()
        model = model.eval()
        inputs = torch.cat([prepare(image) for image in self.images])

        def forward() -> Any:
            out = model(inputs)
            return getattr(out, "logits", out)

        with torch.no_grad():
            self._settle(model, inputs)
            linear = [part for part in model.modules() if isinstance(part, torch.nn.Linear)][-1]
            out = forward()
            factor = _SPREAD / out.std(dim=0).mean().clamp(min=1e-4)
            linear.weight *= factor
            linear.bias.copy_((linear.bias - out.mean(dim=0)) * factor)
            expected = (answer or torch.sigmoid)(forward())
        path = self.folder / f"case{len(self.cases):02d}"
        stored = (save or self.state)(model, path)
        np.save(path.with_suffix(".npy"), expected.numpy())
        self.cases.append({"kind": kind, "file": stored.name, "options": options})
        print(kind, flush=True)

    def _settle(self, model: Any, inputs: Any) -> None:
        """Batch norms that have seen the images, each with a weight of its own, so that a lost one shows."""
        norms = [part for part in model.modules() if getattr(part, "running_var", None) is not None]
        for part in norms:
            part.momentum = None
            if part.affine:
                part.weight.uniform_(0.7, 1.3)
                part.bias.normal_(0, 0.1)
        if norms:
            model.train()(inputs)
            model.eval()

    def state(self, model: Any, path: Path) -> Path:
        self.torch.save(model.state_dict(), path.with_suffix(".pth"))
        return path.with_suffix(".pth")

    def saved(self, change: Callable[[dict[str, Any]], Any]) -> Callable[[Any, Path], Path]:
        """As `torch.save` writes what `change` makes of the state dict."""

        def save(model: Any, path: Path) -> Path:
            self.torch.save(change(dict(model.state_dict())), path.with_suffix(".pth"))
            return path.with_suffix(".pth")

        return save

    def networks(self) -> None:
        """Networks of torchvision, timm and MONAI, bare."""
        import monai.networks.nets as monai_nets
        import timm
        import torchvision.models as tv

        for name in (
            *("densenet121", "densenet169", "resnet18", "resnet34", "resnet50", "mobilenet_v2"),
            *("efficientnet_b0", "efficientnet_b3", "efficientnet_v2_s", "mobilenet_v3_small"),
            *("resnext50_32x4d", "shufflenet_v2_x0_5"),
        ):
            self.add(f"torchvision {name}", getattr(tv, name)(num_classes=LABELS), *_OURS, "--size", "224")
        for name in ("resnet50", "densenet121", "efficientnet_b0", "seresnet50", "resnet26d"):
            self.add(f"timm {name}", timm.create_model(name, num_classes=LABELS), *_OURS)
        one = {"spatial_dims": 2, "out_channels": LABELS}
        grey: dict[str, Any] = {"prepare": self.plain(1)}
        scaled = [*_OURS, "--mean", "0", "--std", "1"]
        self.add(
            "MONAI DenseNet121, one channel", monai_nets.DenseNet121(in_channels=1, **one), *scaled, **grey
        )
        self.add(
            "MONAI DenseNet121, scaling not said",
            monai_nets.DenseNet121(in_channels=1, **one),
            *_OURS,
            **grey,
        )
        self.add("MONAI DenseNet169", monai_nets.DenseNet169(in_channels=3, **one), *_OURS)
        resnet = monai_nets.resnet18(spatial_dims=2, n_input_channels=1, num_classes=LABELS)
        self.add("MONAI ResNet18, one channel", resnet, *scaled, **grey)
        net = monai_nets.EfficientNetBN(
            "efficientnet-b0", pretrained=False, in_channels=3, num_classes=LABELS
        )
        self.add("MONAI EfficientNet-B0", net, *_OURS)

    def heads_and_wrappers(self) -> None:
        """Other heads, prefixes and ways of saving."""
        import torchvision.models as tv
        from safetensors.torch import save_file
        from torch import nn

        def headed(*layers: Any, name: str = "resnet18") -> Any:
            model = getattr(tv, name)()
            setattr(model, "classifier" if name.startswith("dense") else "fc", nn.Sequential(*layers))
            return model

        def dense(*layers: Any) -> Any:
            return headed(*layers, name="densenet121")

        linear = nn.Linear
        self.add("dropout, linear", headed(nn.Dropout(), linear(512, LABELS)), *_OURS)
        self.add("batch norm, linear", headed(nn.BatchNorm1d(512), linear(512, LABELS)), *_OURS)

        def two(activation: Any) -> Any:
            return headed(linear(512, 64), activation, linear(64, LABELS))

        self.add("linear, ReLU, linear; not said", two(nn.ReLU()), *_OURS)
        self.add("linear, ReLU, linear", two(nn.ReLU()), *_OURS, "--head", "linear,relu,linear")
        self.add("linear, GELU, linear", two(nn.GELU()), *_OURS, "--head", "linear,gelu,linear")
        deep = (linear(1024, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(), linear(64, LABELS))
        said = "linear,batchnorm,relu,dropout,linear"
        self.add("linear, batch norm, ReLU, dropout, linear", dense(*deep), *_OURS, "--head", said)
        wrong = "linear,relu,dropout,linear"
        self.add("the same, said wrongly", dense(*deep), *_OURS, "--head", wrong)

        class CheXNet(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.densenet121 = dense(linear(1024, LABELS))

            def forward(self, image: Any) -> Any:
                return self.densenet121(image)

        def before(state: dict[str, Any]) -> Any:
            renamed = {re.sub(r"\.(norm|conv)([12])\.", r".\1.\2.", key): state[key] for key in state}
            return {"state_dict": {f"module.{key}": value for key, value in renamed.items()}}

        self.add("CheXNet, DataParallel, keys of before 2019", CheXNet(), *_OURS, save=self.saved(before))

        def lightning(state: dict[str, Any]) -> Any:
            network = {f"model.{key}": value for key, value in state.items()}
            network |= dict.fromkeys(("criterion.pos_weight", "val_auroc.thresholds"), self.torch.ones(9))
            return {"epoch": 3, "state_dict": network, "hyper_parameters": {"lr": 1e-4}}

        def plain() -> Any:
            return tv.resnet18(num_classes=LABELS)

        self.add("Lightning, with loss weights and metrics", plain(), *_OURS, save=self.saved(lightning))
        twice = self.saved(lambda state: {"state_dict": state, "state_dict_ema": state})
        self.add("two state dicts (EMA)", plain(), *_OURS, save=twice)

        def tensors(model: Any, path: Path) -> Path:
            save_file(
                {f"net.{k}": v.contiguous() for k, v in model.state_dict().items()}, f"{path}.safetensors"
            )
            return Path(f"{path}.safetensors")

        self.add("safetensors, prefix net.", plain(), *_OURS, save=tensors)

        def whole(model: Any, path: Path) -> Path:
            self.torch.save(model, path.with_suffix(".pth"))
            return path.with_suffix(".pth")

        self.add("whole pickled model", plain(), *_OURS, save=whole)

        class Wrapped(nn.Module):
            """A backbone with its own head taken off, and another after it."""

            def __init__(self, change: Any = None, width: int = 512) -> None:
                super().__init__()
                self.backbone = tv.resnet18()
                self.backbone.fc = nn.Identity()
                self.backbone = change(self.backbone) if change else self.backbone
                self.head = linear(width, LABELS)

            def forward(self, image: Any) -> Any:
                return self.head(self.backbone(image))

        self.add("backbone and head; not said", Wrapped(), *_OURS)
        self.add("backbone and head", Wrapped(), *_OURS, "--head", "linear")
        joined = Wrapped(lambda made: nn.Sequential(made, nn.ConstantPad1d((0, 512), 0.5)), 1024)
        self.add("backbone, two poolings joined, head", joined, *_OURS, "--head", "linear")
        cut = Wrapped(lambda made: nn.Sequential(*list(made.children())[:-1], nn.Flatten()))
        self.add("children of a ResNet in a Sequential", cut, *_OURS, "--head", "linear")
        labels = ["--labels", ",".join(_LETTERS)]

        def soft(logits: Any) -> Any:
            return logits.softmax(dim=1)

        self.add("softmax; not said", plain(), *labels, answer=soft)
        self.add("softmax", plain(), *labels, "--activation", "softmax", answer=soft)
        sized = [*_OURS, "--size", "320"]
        self.add("input of 320", tv.resnet50(num_classes=LABELS), *sized, prepare=self.plain(size=320))

    def xrays(self) -> None:
        """torchxrayvision's, with its own scaling, resizing and operating points."""
        import torchxrayvision as xrv

        def prepare(image: Any) -> Any:
            pixels = xrv.datasets.normalize(np.asarray(image.convert("L"), np.float32), 255)[None]
            pixels = xrv.datasets.XRayResizer(224)(xrv.datasets.XRayCenterCrop()(pixels))
            return self.torch.from_numpy(pixels)[None]

        points = self.torch.linspace(0.05, 0.6, 18)
        some = points.masked_fill(points > points[12], float("nan"))
        for name, thresholds in (("all", points), ("13 of 18", some)):
            model = xrv.models.DenseNet()

            def normed(out: Any, of: Any = thresholds) -> Any:
                return xrv.models.op_norm(self.torch.sigmoid(out), of)

            def save(made: Any, path: Path, of: Any = thresholds) -> Path:
                made.register_buffer("op_threshs", of)
                return self.state(made, path)

            own: dict[str, Any] = {"prepare": prepare, "save": save, "answer": normed}
            self.add(f"torchxrayvision DenseNet, points of {name}", model, **own)
        model = xrv.models.DenseNet(num_classes=LABELS)
        scaled = ["--mean", "0.5", "--std", str(1 / 2048)]
        grey = self.plain(1)
        own = {"prepare": lambda image: (grey(image) - 0.5) * 2048}
        self.add("torchxrayvision DenseNet, own labels and resizing", model, *_OURS, *scaled, **own)

    def transformers_models(self) -> None:
        """Small networks of transformers with the processors that theirs have."""
        import transformers as tf

        tokens = {"hidden_size": 32, "intermediate_size": 64}
        tokens |= dict.fromkeys(("num_hidden_layers", "num_attention_heads"), 2)
        stages = {"depths": [1, 1, 1, 1], "hidden_sizes": [16, 32, 48, 64]}
        swin = {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 4]}
        multi = {"problem_type": "multi_label_classification"}
        kinds: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
            ("ViT", tokens | multi, {}),
            ("ViT", tokens, {"resample": 3, "do_normalize": False}),
            ("DeiT", tokens | multi, {}),
            ("Beit", tokens, {"do_center_crop": True, "size": {"height": 256, "width": 256}}),
            ("Dinov2", tokens | multi | {"image_size": 224, "patch_size": 14}, {}),
            ("Swin", swin, {}),
            ("ConvNext", stages | multi, {"size": {"shortest_edge": 224}}),
            ("ConvNext", stages, {"size": {"shortest_edge": 384}}),
            ("ConvNextV2", stages | multi, {"size": {"shortest_edge": 224}, "crop_pct": 0.95}),
            ("ResNet", stages | {"embedding_size": 16}, {"size": {"shortest_edge": 224}}),
            ("RegNet", stages | {"embedding_size": 16, "groups_width": 8}, {"size": {"shortest_edge": 224}}),
            ("MobileNetV2", {"depth_multiplier": 0.35} | multi, {}),
            ("EfficientNet", {"width_coefficient": 0.5, "depth_coefficient": 0.5, "hidden_dim": 640}, {}),
            ("MobileViT", {"neck_hidden_sizes": [8, 16, 16, 16, 16, 16, 64]}, {}),
            ("PoolFormer", stages, {}),
            ("ViT", tokens, {"do_resize": False}),
        ]
        for name, config, settings in kinds:
            made = getattr(tf, f"{name}Config")(**config, num_labels=LABELS)
            model = getattr(tf, f"{name}ForImageClassification")(made)
            processor = getattr(tf, f"{_OWNERS.get(name, name)}ImageProcessorPil")(**settings)

            def prepare(image: Any, by: Any = processor) -> Any:
                return by(image.convert("RGB"), return_tensors="pt")["pixel_values"]

            def save(made: Any, path: Path, by: Any = processor) -> Path:
                made.save_pretrained(path)
                by.save_pretrained(path)
                return path

            multiple = "problem_type" in config
            soft = None if multiple else lambda out: out.softmax(dim=1)
            notes = [f"{key} {value}" for key, value in settings.items()]
            kind = ", ".join([f"transformers {name}", "sigmoid" if multiple else "softmax", *notes])
            resized = settings.get("do_resize", True)
            self.add(kind, model, prepare=prepare if resized else self.plain(), save=save, answer=soft)


def make(folder: Path) -> None:
    """Build every case into `folder`; what is listed in `cases.json` is done."""
    import torch

    torch.manual_seed(0)
    maker = Maker(folder)
    for part in (maker.networks, maker.heads_and_wrappers, maker.xrays, maker.transformers_models):
        part()
    (folder / "cases.json").write_text(json.dumps(maker.cases))


def draw(folder: Path) -> None:
    """Images of the size of films: smooth shapes and noise, 8 bits."""
    from PIL import Image

    for number, (rows, columns) in enumerate(SHAPES):
        random = np.random.default_rng(number)
        y, x = np.mgrid[0:rows, 0:columns]
        waves = sum(
            np.sin(x / random.uniform(15, 120) + random.uniform(0, 6)) * np.cos(y / random.uniform(15, 120))
            for _ in range(4)
        )
        pixels = np.clip(110 + 35 * waves + random.normal(0, 12, (rows, columns)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"image{number}.png")


def compare(folder: Path, case: dict[str, Any], *, export: bool) -> float | str:
    """The largest difference of a probability, or the sentence that refuses the case."""
    from typer.testing import CliRunner

    from tetkik.cli.app import app
    from tetkik.findings.predict import load_findings
    from tetkik.lab.findings import import_checkpoint
    from tetkik.lab.findings.export import Exported

    def none(_network: Any, file: Path, **_shape: Any) -> Exported:
        return Exported(file, 0.0, maps=False)

    exporter = nullcontext() if export else patch.object(import_checkpoint, "to_onnx", none)
    with TemporaryDirectory() as temporary, exporter:
        out = Path(temporary) / "bundle"
        command = ["findings", "import", str(folder / case["file"]), *case["options"], "--out", str(out)]
        result = CliRunner().invoke(app, command, env={"TETKIK_LANGUAGE": "en"})
        if result.exit_code:
            return " ".join(result.output.replace(str(folder) + "/", "").split())
        findings = load_findings(str(out), gate=False)
        expected = np.load(folder / f"{Path(case['file']).stem}.npy")
        largest = 0.0
        for number, row in enumerate(expected):
            answer = findings.predict(folder / f"image{number}.png")
            found = {item.label: item for item in answer.findings}
            for label, probability in zip(findings.model.manifest.labels, row, strict=True):
                item = found[label]
                if item.score is None or item.threshold is None:  # an output that was not taught
                    continue
                score, point = item.score, item.threshold
                if "points of" in case["kind"]:  # torchxrayvision brings each threshold to 0.5
                    score = score / (2 * point) if score < point else 1 - (1 - score) / (2 * (1 - point))
                largest = max(largest, abs(score - float(probability)))
        return largest


def main() -> None:
    """Make, import, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="of the environment and the cases; else they are removed")
    parser.add_argument("--export", action="store_true", help="compare the ONNX network of each bundle")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        make(arguments.make)
        return
    with TemporaryDirectory(prefix="tetkik-import-") as temporary:
        folder = (arguments.folder or Path(temporary)).absolute()
        python, cases = folder / "env" / "bin" / "python", folder / "cases"
        if not python.is_file():
            venv.create(folder / "env", with_pip=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *LIBRARIES], check=True)
        if not (cases / "cases.json").is_file():
            cases.mkdir(exist_ok=True)
            draw(cases)
            subprocess.run([python, __file__, "--make", cases], check=True, env={"HF_HUB_OFFLINE": "1"})
        report(cases, export=arguments.export)


def report(cases: Path, *, export: bool) -> None:
    """The table, and its figures."""
    from figures import judged, record

    answers = []
    for case in json.loads((cases / "cases.json").read_text("utf-8")):
        answer = compare(cases, case, export=export)
        answers.append(answer)
        text = f"{answer:.1e}" if isinstance(answer, float) else f"refused: {answer}"
        print(f"| {case['kind']} | {text} |", flush=True)
    differences = [answer for answer in answers if isinstance(answer, float)]
    equal = sum(difference <= EQUAL for difference in differences)
    other = len(differences) - equal
    refused = len(answers) - len(differences)
    print(f"{equal} equal to {EQUAL:g} (largest {max(differences):.1e}), {refused} refused, {other} other.")
    record(
        "findings-import/kinds",
        {
            "reached": judged(f"{other} other", met=not other),
            "equal": f"{equal}, largest {max(differences):.1e}",
            "refused": str(refused),
            "n": f"{len(answers)} kinds, {len(SHAPES)} images",
        },
    )


if __name__ == "__main__":
    main()
