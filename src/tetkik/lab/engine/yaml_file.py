"""YAML that a person wrote, read within limits: no tags that make objects, no aliases, no key twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from tetkik.errors import DataError, MissingExtra

_MOST_BYTES = 1 << 16
_DEEPEST = 16


def read_yaml(path: Path) -> tuple[Any, bytes]:
    """What a file says, and its bytes.

    Raises:
        DataError: it is no YAML, or more than is needed.
        OSError: the file cannot be opened.
    """
    yaml = load_yaml()
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise DataError("{path} is too long: it has more than 64 KiB; give another file.", path=path)
    try:
        _check_tokens(yaml, path, content)
        node = yaml.compose(content, Loader=yaml.SafeLoader)
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        seen = Counter(key.value for key, _ in pairs if isinstance(key, yaml.ScalarNode))
        for key, count in seen.items():
            if count > 1:
                raise DataError("{path} has {key} twice; leave one of them out.", path=path, key=key)
        return yaml.safe_load(content), content
    except (yaml.YAMLError, RecursionError, ValueError) as fault:
        mark = getattr(fault, "problem_mark", None)
        raise DataError(
            "{path} is not YAML (line {line}); correct it.", path=path, line=mark.line + 1 if mark else "-"
        ) from None


def _check_tokens(yaml: Any, path: Path, content: bytes) -> None:
    """Aliases make a small file huge once it is read, and depth makes the reader slow; nothing needs them."""
    depth = 0
    for token in yaml.scan(content):
        if isinstance(token, yaml.AliasToken):
            raise DataError("{path} uses YAML aliases; write each value out.", path=path)
        name = type(token).__name__
        depth += name.endswith("StartToken") - name.endswith("EndToken")
        if depth > _DEEPEST:
            raise ValueError("too deep")


def load_yaml() -> Any:
    """The package; `MissingExtra` where it is not installed."""
    try:
        import yaml
    except ImportError:
        raise MissingExtra(
            "Files in YAML need {package}; `{extra}`.", extra="train", package="pyyaml"
        ) from None
    return yaml
