"""What the commands make of drawn tables, against `tables_golden.json`; GOLDEN=write renews it."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.lab.caption.layouts import write_roco, write_rocov2, write_table
from tests.lab.findings.tables import chexpert_row, nih_row, touch, write, write_chexpert, write_nih
from tetkik.cli.app import app
from tetkik.lab.caption.prepared import Split, open_prepared
from tetkik.lab.findings.data import read_sources

GOLDEN = Path(__file__).with_name("tables_golden.json")


def run(*arguments: object) -> dict[str, object]:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert done.exit_code == 0, done.output
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


def caption(folder: Path) -> dict[str, object]:
    made: dict[str, object] = {}
    rows = [(f"i/{n}.png", f"Görüntü {n}: Fig. 1 sol, 10<sup>-3</sup>", f"k{n // 2}", "") for n in range(6)]
    rows += [
        ("i/7.png", 'A "quoted" text;\nwith a second line', "k9", "val"),
        ("../x.png", "out", "", "test"),
    ]
    sources = {
        "table": write_table(folder / "table", rows, delimiter=";"),
        "rocov2": write_rocov2(folder / "rocov2", {"train": 5, "valid": 2, "test": 2}, zipped=True),
        "roco": write_roco(folder / "roco", {"train": 4, "valid": 2, "test": 2}),
    }
    for name, source in sources.items():
        out = folder / f"{name}-out"
        report = run("caption", "prepare", source, "--out", out, "--workers", 1)
        report.pop("bytes")
        kept = {}
        for split in Split:
            part = open_prepared(out).part(split)
            kept[split.value] = [
                *zip(part.ids, part.files, part.captions, part.groups, part.licences, strict=True)
            ]
        left_out = (out / "left_out.csv").read_text("utf-8").splitlines()
        made[name] = {"report": report, "rows": kept, "left_out": left_out}
    return made


def findings(folder: Path) -> dict[str, object]:
    labels = ("Mass|Effusion", "No Finding", "Hernia", "No Finding|Mass", "Grippe")
    nih = [nih_row(f"{n:08d}_00{n % 2}.png", labels[n % 5], n // 2, age=f"0{n:02d}Y") for n in range(20)]
    write_nih(folder / "nih", [*nih, '00000099_000.png,"Mass,0', "00000098_000.png,Mass"])
    marks: tuple[dict[str, object], ...] = (
        {"Edema": "1.0"},
        {"No Finding": "1"},
        {"Pneumonia": "-1.0"},
        {"Fracture": "x"},
        {},
    )
    shots = [chexpert_row(f"train/patient{n:05d}/s1/v1.jpg", marks[n % 5]) for n in range(10)]
    write_chexpert(folder / "chexpert", shots)
    own = "file;labels;patient_id;view;split;age\n" + "".join(
        f"{n}.png;{'Mass|Oedema' if n % 3 else ' Normal '};h{n // 2};PA;{'test' if n > 6 else 'train'};4{n}\n"
        for n in range(9)
    )
    table = write(folder / "own" / "labels.csv", own + '\n9.png;"Mass\nNodule";h9;AP;;\n../x.png;Mass;;;;\n')
    touch(*(folder / "own" / f"{n}.png" for n in range(10)))
    specs = [f"nih:{folder / 'nih'}", f"chexpert:{folder / 'chexpert'}=2", f"csv:{table}"]
    images = read_sources(specs)
    return {
        "report": run("findings", "sources", *specs, "--others"),
        "rows": [
            *zip(images.names, images.patient, images.group.tolist(), images.truth.tolist(), strict=True)
        ],
        "left_out": images.left_out,
        "other": images.other_labels,
    }


def triage(folder: Path) -> dict[str, object]:
    folder.mkdir(parents=True)
    table = folder / "a.csv"
    table.write_bytes(
        "soru;bölüm\n".encode()
        + 'Dizim şişti, "çok" ağrıyor;Ortopedi\n"Başım\ndönüyor";nöroloji\n"açık kaldı;Üroloji\n'.encode()
        + "Gözüm kızardı;Göz\n".encode("cp1254")
        + 'bir; iki; üç şikayet;Kardiyoloji\nkısa\n;Ortopedi\nDizim şişti, "çok" ağrıyor;Ortopedi\n'.encode()
    )
    lines = folder / "b.jsonl"
    lines.write_text(
        '{"text": "<p>Kalbim &ccedil;arp\\u0131yor, 0532 111 22 33</p>", "label": "Kardiyoloji"}\n'
        '{"text": "Ã§ok Ã¼ÅŸÃ¼yorum", "label": "Dahiliye"}\n{"text": 1}\nx\n',
        "utf-8",
    )
    out = folder / "clean.csv"
    report = run("triage", "clean", table, lines, "--out", out, "--no-suspects")
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    with (folder / "clean.report" / "rejected.csv").open(encoding="utf-8", newline="") as file:
        return {"report": report, "rows": rows, "rejected": list(csv.reader(file))}


@pytest.mark.parametrize("capability", [caption, findings, triage])
def test_tables_give_what_they_gave(capability, tmp_path):
    text = json.dumps(capability(tmp_path / "d"), ensure_ascii=False).replace(str(tmp_path), "DIR")
    kept = json.loads(GOLDEN.read_text("utf-8")) if GOLDEN.is_file() else {}
    if os.environ.get("GOLDEN") == "write":
        kept[capability.__name__] = json.loads(text)
        GOLDEN.write_text(json.dumps(kept, ensure_ascii=False, indent=None) + "\n", "utf-8")
    assert json.loads(text) == kept[capability.__name__]
