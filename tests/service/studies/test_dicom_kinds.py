"""DICOM files that are no radiographs, through the service: readable answers, and values for a viewer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.data import get_testdata_file

from tests.records.kit import made_user, take_job
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.values import Role
from tetkik.workflow.image_processing import read_case_image

UPLOAD = "/api/v1/images"


def file(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    assert path is not None
    return Path(path).read_bytes()


def uploaded(client, case: str, name: str) -> str:
    answer = client.post(f"{UPLOAD}?case_id={case}&sure=true", content=file(name))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["image"]["id"])


def pixels(client, image_id: str, **query: int):
    """The values in their unit, or the colours, and the headers."""
    answer = client.get(f"{UPLOAD}/{image_id}/pixels", params=query)
    assert answer.status_code == 200, answer.text
    head = answer.headers
    shape = int(head["X-Rows"]), int(head["X-Columns"]), int(head["X-Samples"])
    values = np.frombuffer(answer.content, "<u2" if head["X-Bits"] == "16" else "u1").reshape(shape)
    if "X-Slope" in head:
        values = values * float(head["X-Slope"]) + float(head["X-Intercept"])
    return values.squeeze(), head


NO_IMAGES = {
    "rtplan.dcm": "(RT Plan Storage)",
    "test-SR.dcm": "(Comprehensive SR Storage)",
    "waveform_ecg.dcm": "(12-lead ECG Waveform Storage)",
    "MR_truncated.dcm": "ends before its image does",
    "priv_SQ.dcm": "holds no pixels",
}


def test_what_is_no_image_is_refused_with_the_reason(client, case):
    for name, said in NO_IMAGES.items():
        answer = client.post(
            f"{UPLOAD}?case_id={case}", content=file(name), headers={"Accept-Language": "en"}
        )
        assert answer.status_code == 422 and said in answer.json()["detail"]


def test_a_viewer_gets_hounsfield_units_doses_and_colours(client, case):
    ct, head = pixels(client, uploaded(client, case, "CT_small.dcm"))
    assert head["X-Unit"] == "HU" and (ct.min(), ct.max()) == (-896, 1167)
    centre, width = map(float, head["X-Window"].split(","))
    assert 0 < centre < float(head["X-White"]) and width > 1
    dose = uploaded(client, case, "rtdose.dcm")
    first, last = (pixels(client, dose, frame=number) for number in (1, 15))
    assert 0.79 < first[0].min() < last[0].max() < 1.26 and first[1]["X-Slope"] == last[1]["X-Slope"]
    colours, head = pixels(client, uploaded(client, case, "examples_rgb_color.dcm"))
    assert colours.shape == (240, 320, 3) and head["X-Samples"] == "3" and len(np.unique(colours)) > 10


def test_no_model_reads_them_and_the_answer_says_so(client, app_context, case):
    ids = [uploaded(client, case, name) for name in ("rtdose.dcm", "examples_rgb_color.dcm")]
    machine = ImageDecoder(app_context.records)
    for image_id, kind in zip(ids, ("RTDOSE", "US"), strict=True):
        with app_context.records.write(made_user(app_context.records, Role.TECHNICIAN)) as tx:
            work = take_job(tx, "w")
        assert work is not None
        read_case_image(app_context.records, app_context.settings, work, machine.pixels)
        result = client.get(f"{UPLOAD}/{image_id}/findings").json()["result"]
        assert not result["suitable"] and f"Dosya kendini {kind} türünde" in result["reasons"][0]
    machine.close()
