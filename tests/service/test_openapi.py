"""The description of the API stays as it is: programs of hospitals are written against it.

A change that is wanted: `python -m tests.service.test_openapi` writes the file anew.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.service.kit import make_context
from tetkik.service.app import create_app

PIN = Path(__file__).with_name("openapi.json")


def described(folder: Path) -> str:
    """The description with one line for each path and schema, without the version of the program."""
    app = create_app(make_context(folder), work=False)
    app.state.decoder.close()
    schema = app.openapi()
    del schema["info"]["version"]
    lines = (
        f"{json.dumps(f'{place}/{name}')}: {json.dumps(part, ensure_ascii=False, sort_keys=True)}"
        for place, parts in (
            ("paths", schema.pop("paths")),
            ("schemas", schema["components"].pop("schemas")),
            ("", schema),
        )
        for name, part in sorted(parts.items())
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def test_the_description_is_the_one_that_programs_know(tmp_path):
    now, pinned = json.loads(described(tmp_path)), json.loads(PIN.read_text("utf-8"))
    assert now.keys() == pinned.keys()
    assert [name for name in now if now[name] != pinned[name]] == []


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        PIN.write_text(described(Path(folder)), "utf-8")
