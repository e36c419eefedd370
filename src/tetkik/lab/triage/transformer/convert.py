"""`python -m tetkik.lab.triage.transformer.convert BASE FOLDER`: an encoder's pickled weights as safetensors.

Some encoders, BioBERTurk among them, were published with `pytorch_model.bin` only. It is read here with
torch's restricted unpickler (`weights_only=True`, torch 2.6 or newer), which builds tensors and nothing else,
and only because the user asked for it by name.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import mkdtemp

from tetkik.errors import OutputError, TetkikError, TrainingError, UsageError
from tetkik.networks.huggingface import quiet_transformers
from tetkik.settings import settings


def convert_base(base: str, folder: Path) -> Path:
    """Write the encoder `base` into `folder` with safetensors weights and its tokenizer's files.

    `base` is the path of a folder, or a Hugging Face id (from the hub's cache, or from the network where the
    setting `offline` is off).
    """
    from huggingface_hub import snapshot_download
    from transformers import AutoModel

    if folder.exists():
        raise OutputError("{target} exists already; choose another name.", target=folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    wanted = ["*.json", "*.txt", "*.model", "pytorch_model*.bin"]
    try:
        source = Path(base).expanduser()
        if not source.is_dir():
            source = Path(snapshot_download(base, allow_patterns=wanted, local_files_only=settings().offline))
        with quiet_transformers():
            AutoModel.from_pretrained(
                source, use_safetensors=False, weights_only=True, trust_remote_code=False
            ).save_pretrained(stage)
        for file in source.iterdir():
            if file.suffix in {".txt", ".model"} or file.name.startswith(("tokenizer", "special_tokens")):
                (stage / file.name).write_bytes(file.read_bytes())
        stage.chmod(0o755)
        stage.rename(folder)
    # Whatever a foreign folder holds must end in one sentence.
    except Exception as error:
        raise TrainingError(
            "The base model {base} cannot be converted ({fault}); give a folder or an id with "
            "pytorch_model.bin.",
            base=base,
            fault=type(error).__name__,
        ) from None
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return folder


def main(arguments: list[str]) -> int:
    """Run the conversion; an error is one sentence on standard error."""
    try:
        if len(arguments) != 2:
            raise UsageError("Name the base model and a new folder: `convert BASE FOLDER`.")
        convert_base(arguments[0], Path(arguments[1]))
    except TetkikError as error:
        sys.stderr.write(error.in_language(settings().language) + "\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
