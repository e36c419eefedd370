"""What was sent to an archive, in a viewer that hospitals have: OHIF finds the report and shows its PDF."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from playwright.sync_api import expect
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from tests.documents.sample import IDENTITY, TAGS, document, picture
from tests.integrations.archives import orthanc, systems
from tests.integrations.ohif import viewer
from tests.service.browser import PATIENT, chromium
from tetkik.documents import dicom
from tetkik.documents.capture import to_capture
from tetkik.documents.encapsulated_pdf import to_encapsulated_pdf
from tetkik.documents.sr import to_sr
from tetkik.integrations.calling import Answer
from tetkik.integrations.dicom.query import store
from tetkik.values import ReportState


def film(report):
    """The image that the report is about, as its archive has it."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dicom.identify(made, report)
    sop_class, uid = UID(TAGS.sop_class or ""), UID(IDENTITY.instance_uid or "")
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = sop_class
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = uid
    made.SeriesInstanceUID, made.SeriesNumber, made.InstanceNumber = IDENTITY.series_uid, 1, 1
    made.Modality, made.SeriesDescription = "DX", "PA"
    made.Rows = made.Columns = 256
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    made.PixelData = np.tile(np.arange(256, dtype=np.uint8), (256, 1)).tobytes()
    return dicom.to_bytes(made)


@pytest.mark.program("orthanc", "chromium", "npm")
def test_ohif_lists_the_report_beside_the_image_and_shows_its_pdf(tmp_path):
    report = document(ReportState.FINAL, identity=replace(IDENTITY, patient_id="4711"))
    report = replace(report, image=picture(), heatmap=picture("RGB", (200, 80, 40)), heatmap_label="Effusion")
    objects = (film(report), to_sr(report), to_encapsulated_pdf(report), to_capture(report))
    with orthanc(tmp_path) as pacs, viewer(pacs.url) as address, chromium() as browser:
        chosen = systems(pacs.peer())
        assert store(chosen, chosen.peers[0], objects) == Answer.done("0000H")
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.add_init_script("localStorage.setItem('shownTours', '[\"basicViewerTour\"]')")
        page.goto(f"{address}/viewer?StudyInstanceUIDs={IDENTITY.study_uid}")
        series = page.locator('[data-cy^="study-browser-thumbnail"]')
        expect(series).to_have_count(4, timeout=2 * PATIENT)
        for kind, title in (("DOC", "Radyoloji raporu"), ("SR", "Radyoloji raporu"), ("OT", "Modelin")):
            expect(series.filter(has_text=kind).filter(has_text=title)).to_have_count(1)
        series.filter(has_text="DOC").dblclick()
        shown = page.locator("object[type='application/pdf']")
        expect(shown).to_be_visible()
        assert shown.evaluate("async (one) => (await (await fetch(one.data)).text()).slice(0, 5)") == "%PDF-"
        series.filter(has_text="SR").dblclick()
        expect(shown).to_be_hidden()
        expect(page.get_by_text("TypeError")).to_have_count(0)
