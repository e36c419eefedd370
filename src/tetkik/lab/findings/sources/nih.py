"""NIH ChestX-ray14: `Data_Entry_2017*.csv`, the official split lists, the images in any of their layouts.

Wang et al., "ChestX-ray8", CVPR 2017, and the 14-label release of the same year. A row knows all 14 labels
and Normal ("No Finding"): the text miner went through every report with all of them. Nothing else is known.
"""

from __future__ import annotations

from pathlib import Path

from tetkik.errors import DataError
from tetkik.findings.label_names import age_years, public_image, sex_named, shared_label, view_named
from tetkik.lab.engine.splits import Split
from tetkik.lab.engine.tables import read_table
from tetkik.lab.findings.sources.files import Reading, SourceSpec, by_name, relative_names, the_file
from tetkik.lab.findings.sources.hospital_table import listed
from tetkik.lab.findings.sources.rows import LeftOut, Rows, Truth
from tetkik.values import FINDING_LABELS, NIH_LABELS

_IMAGE, _LABELS = "Image Index", "Finding Labels"
_COLUMNS = (_IMAGE, _LABELS, "Patient ID", "Patient Age", "Patient Gender", "View Position")
_KNOWN = (*NIH_LABELS, "Normal")
_LISTS = {"train_val_list.txt": Split.TRAIN, "test_list.txt": Split.TEST}
_LAYOUTS = ("images_*/images", "images_*", "images")
"""Where the twelve archives put their images once unpacked, with and without their own folder."""


OPTIONS = {"images": ()}


def read_nih(spec: SourceSpec, how: Reading) -> Rows:
    """Read NIH ChestX-ray14 from its folder or its table."""
    path = the_file(spec.path, "Data_Entry_2017*.csv*") if spec.path.is_dir() else spec.path
    table = read_table(path, need=_COLUMNS[:3], wanted=_COLUMNS)
    images = Path(spec.options.get("images", path.parent))
    truth, faults = nih_truth(table[_LABELS])
    folders = [folder for layout in _LAYOUTS for folder in sorted(images.glob(layout))]
    where = by_name((*folders, images)) if how.check_files else {}
    official = _official(path.parent)
    names = relative_names(table[_IMAGE])
    return Rows(
        origin="nih",
        names=names,
        labels=FINDING_LABELS,
        truth=truth,
        public_patient=[
            f"nih:{int(cell)}" if cell.isdecimal() and cell.isascii() else None
            for cell in table["Patient ID"]
        ],
        image=[public_image(name or "")[0] for name in names],
        view=[view_named(cell) for cell in table.get("View Position")],
        sex=[sex_named(cell) for cell in table.get("Patient Gender")],
        age=[age_years(cell) for cell in table.get("Patient Age")],
        official=[official.get(name or "") for name in names] if official else (),
        left_out=table.left_out(),
    ).usable(where.get if how.check_files else images.joinpath, faults)


def nih_truth(cells: list[str]) -> tuple[Truth, list[LeftOut | None]]:
    """The shared labels of cells such as `Effusion|Mass`, and what is wrong with a cell.

    The 14 labels and Normal are known in every row, the others in none.
    """
    known = frozenset(_KNOWN)
    marks = listed(cells, [known] * len(cells), keep_others=False)
    foreign = {cell for cell in set(cells) if not set(map(shared_label, cell.split("|"))) <= known}
    return marks.truth, [LeftOut.FOREIGN_LABEL if cell in foreign else None for cell in cells]


def _official(root: Path) -> dict[str, Split]:
    """The official part of each image; empty where the lists are not there."""
    parts: dict[str, Split] = {}
    for file, part in _LISTS.items():
        if (path := root / file).is_file():
            for line in path.read_text("utf-8-sig", errors="replace").splitlines():
                name = line.strip()
                if name and parts.setdefault(name, part) is not part:
                    raise DataError(
                        "{path} names images of the other split list too; fetch both again.", path=path
                    )
    return parts
