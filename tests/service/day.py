"""A day of the hospital as its people see it, in Turkish, through a browser alone.

It needs nothing but an address and the link of the first start, so that it can be played against any
installation; `test_day.py` starts one, from the source or from a built wheel.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.phantom import write_phantom
from tests.service.browser import Watch, opened
from tetkik.values import Role

PASSWORD = "dört sakin sözcük yeter"
PATIENT = "Gülçin ŞAHİN"
TCKN = "10000000146"
COMPLAINT = "Bu sabahtan beri göğsümde baskı var, nefes alamıyorum, sol koluma vuruyor."
DEPARTMENT = "Göğüs Hastalıkları"
CORRECTION = "Sağ kostofrenik sinüs künttür; sağda plevral efüzyon izlendi."
IMPRESSION = "Sağda plevral efüzyon."
PEOPLE = {
    Role.RECEPTION: ("ayse.kaya", "Ayşe Kaya", "kayıt kabul"),
    Role.TECHNICIAN: ("can.demir", "Can Demir", "tekniker"),
    Role.RADIOLOGIST: ("zeynep.arslan", "Zeynep Arslan", "radyolog"),
    Role.CLINICIAN: ("mehmet.oz", "Mehmet Öz", "klinisyen"),
    Role.AUDITOR: ("elif.tan", "Elif Tan", "denetçi"),
    Role.ENGINEER: ("deniz.ay", "Deniz Ay", "mühendis"),
}

STEPS = {
    Role.RECEPTION: ("vakayı oluşturdu", "fişi yazdırdı"),
    Role.TECHNICIAN: ("görüntü yükledi", "model çalıştırdı"),
    Role.RADIOLOGIST: ("bir bulguyu değerlendirdi", "taslağı değiştirdi", "raporu imzaladı"),
    Role.CLINICIAN: ("imzalı raporu açtı", "belge indirdi"),
}
"""What the trail says of each."""


def write_film(file: Path) -> None:
    """A synthetic chest film that says that it is of the patient."""
    from pydicom import dcmread

    write_phantom(file, seed=11, signs=("Effusion", "Cardiomegaly"))
    film = dcmread(file)
    film.PatientName, film.PatientID = "ŞAHİN^GÜLÇİN", TCKN
    film.PatientBirthDate, film.PatientSex = "19610504", "F"
    film.save_as(file)


@dataclass
class Day:
    """The day, from the first start to the auditor's evening.

    Args:
        browser: Chromium.
        address: of the hospital.
        link: of the first start.
        shots: where a picture of each page goes; None for none.
    """

    browser: Browser
    address: str
    link: str
    shots: Path | None = None
    complaints: list[str] = field(default_factory=list)
    links: dict[Role, str] = field(default_factory=dict)
    number: str = ""

    def play(self) -> None:
        """Everything, in its order."""
        self.administrator_comes_first()
        self.reception()
        self.technician()
        self.radiologist()
        self.clinician()
        self.auditor()
        self.engineer()
        assert not self.complaints, "\n".join(self.complaints)

    @contextmanager
    def at(self, role: Role) -> Iterator[Page]:
        """A person with a role at a screen of their own, who has just chosen a password."""
        with self._window() as context:
            page = self._page(context)
            page.goto(self.links[role])
            self._choose_password(page)
            yield page

    def administrator_comes_first(self) -> None:
        """Nobody has a password until the first link is opened."""
        with self._window() as context:
            page = self._page(context)
            page.goto(self.link)
            self._shot(page, "01-ilk-acilis")
            page.get_by_label("Adınız").fill("Selim Ak")
            page.get_by_label("Kullanıcı adı").fill("selim.ak")
            self._choose_password(page)
            expect(page.locator("h1")).to_have_text("Sistem")
            self._shot(page, "02-sistem")
            page.goto("/admin/users")
            last = ""
            for role, (login, name, word) in PEOPLE.items():
                page.get_by_role("button", name="Birini davet et").click()
                invite = page.locator("dialog#invite")
                invite.get_by_label("Kullanıcı adı").fill(login)
                invite.locator("#name").fill(name)
                if role is Role.RADIOLOGIST:
                    invite.locator("#title").fill("Uzm. Dr.")
                    invite.locator("#registration").fill("123456")
                invite.get_by_label(word, exact=True).check()
                if role is Role.CLINICIAN:
                    invite.get_by_label("Bütün bölümler", exact=True).check()
                invite.locator("button[type=submit]").click()
                link = page.locator("#link")  # of this one, not of whom was invited before
                expect(link).not_to_have_text(last)
                self.links[role] = last = link.inner_text().strip()
            self._shot(page, "03-kullanicilar")
            expect(page.locator("tbody tr")).to_have_count(len(PEOPLE) + 1)

    def reception(self) -> None:
        """A complaint is typed; the answer comes while it is typed; the case is opened, the slip printed."""
        with self.at(Role.RECEPTION) as page:
            page.goto("/reception")
            page.locator("#complaint").press_sequentially(COMPLAINT, delay=2)
            expect(page.locator("#answer .banner.kirmizi")).to_be_visible()
            expect(page.locator("#answer [data-department]").first).to_be_attached()
            page.locator("#department").select_option(label=DEPARTMENT)
            page.locator("#name").fill(PATIENT)
            page.locator("#tckn").fill(TCKN)
            page.locator("#birth_date").fill("04.05.1961")
            page.locator("#sex").select_option("F")
            page.locator("#question").fill("Plevral efüzyon?")
            self._shot(page, "04-kayit")
            page.keyboard.press("F9")
            page.wait_for_url("**/cases/*")
            expect(page.locator("body")).to_contain_text(PATIENT)
            self.number = page.locator("h1").inner_text().strip()
            self._shot(page, "05-vaka")
            page.get_by_role("link", name="Fiş").click()
            expect(page.locator("body")).to_contain_text(self.number)
            self._shot(page, "06-fis")

    def technician(self) -> None:
        """The film is taken to the case, and the model reads it."""
        with self.at(Role.TECHNICIAN) as page, tempfile.TemporaryDirectory() as folder:
            film = Path(folder) / "film.dcm"
            write_film(film)
            page.goto("/upload")
            self._shot(page, "07-yukleme")
            page.get_by_role("link", name=re.compile(PATIENT)).click()
            page.wait_for_url("**/upload?case=*")  # the page before takes files, too, and is about to go
            page.locator("#files").set_input_files(film)
            expect(page.locator(".file .state")).to_have_text("model okudu")
            self._shot(page, "08-yuklendi")

    def radiologist(self) -> None:
        """The case stands on top; it is read, corrected and signed."""
        with self.at(Role.RADIOLOGIST) as page:
            page.goto("/worklist")
            top = page.locator("tr.case").first
            expect(top).to_contain_text(PATIENT)
            expect(top).to_contain_text(self.number)
            self._shot(page, "09-is-listesi")
            top.locator("a.open").click()
            page.wait_for_url("**/read/*")
            expect(page.locator("[data-viewer] canvas").first).to_be_visible()
            self._shot(page, "10-okuma")
            self._judge(page, "Normal", "rejected")
            self._judge(page, "Effusion", "added")
            self._write(page, "findings", CORRECTION)
            self._write(page, "impression", IMPRESSION)
            undecided = page.locator(".objection:not(.decided) [data-decide=kept]")
            while undecided.count():
                with self._saved(page):
                    undecided.first.click()
            self._shot(page, "11-taslak")
            page.locator("[data-sign]").click()
            dialog = page.locator("dialog#sign")
            expect(dialog).to_contain_text(CORRECTION)
            stated = dialog.locator("[data-accept-stated]")
            if stated.is_visible():
                stated.click()
                expect(stated).to_be_hidden()
            dialog.locator("#sign-password").fill(PASSWORD)
            self._shot(page, "12-imza")
            dialog.get_by_label("Ardından listedeki sıradaki vaka").uncheck()
            dialog.locator("button[type=submit]").click()
            page.get_by_role("link", name="Raporu aç").click()
            expect(page.locator(".signature")).to_contain_text("Zeynep Arslan")
            self._shot(page, "13-rapor")

    def clinician(self) -> None:
        """The ward finds the report and opens it as PDF."""
        with self.at(Role.CLINICIAN) as page:
            page.goto("/reports")
            row = page.locator("tbody tr").first
            expect(row).to_contain_text(PATIENT)
            self._shot(page, "14-raporlar")
            row.get_by_role("link").first.click()
            expect(page.locator(".report-text")).to_contain_text(CORRECTION)
            self._shot(page, "15-klinisyen")
            pdf = page.request.get(str(page.get_by_role("link", name="PDF").first.get_attribute("href")))
            assert pdf.status == 200 and pdf.headers["content-type"] == "application/pdf"
            self._check_pdf(pdf.body())

    def auditor(self) -> None:
        """Every step of the case stands in the trail, with who took it and without the patient's name."""
        with self.at(Role.AUDITOR) as page:
            page.goto("/audit")
            self._shot(page, "16-denetim")
            page.get_by_role("link", name=self.number).first.click()
            trail = page.locator("main")
            for role, deeds in STEPS.items():
                expect(trail).to_contain_text(PEOPLE[role][1])
                for deed in deeds:
                    expect(trail).to_contain_text(deed)
            expect(trail).not_to_contain_text(TCKN)
            expect(trail).not_to_contain_text(PATIENT)
            self._shot(page, "17-vakanin-izi")

    def engineer(self) -> None:
        """The correction and the agreement count at the engineer's desk, without a name."""
        with self.at(Role.ENGINEER) as page:
            page.goto("/engineer")
            expect(page.locator("main")).to_contain_text("%100")
            self._shot(page, "18-modeller")
            page.goto("/engineer/agreement")
            expect(page.locator("tbody tr")).to_have_count(2)
            expect(page.locator("main")).not_to_contain_text(PATIENT)
            self._shot(page, "19-uyum")

    def _judge(self, page: Page, label: str, judgement: str) -> None:
        with self._saved(page):
            page.locator(f"[data-finding={label}] .verdict.{judgement}").click()
        expect(page.locator(f"[data-finding={label}].{judgement}")).to_be_visible()

    def _write(self, page: Page, section: str, text: str) -> None:
        with self._saved(page):
            page.locator(f"[data-lines={section}] textarea").first.fill(text)
            page.keyboard.press("Control+s")

    @contextmanager
    def _saved(self, page: Page) -> Iterator[None]:
        """Something that is saved: the page then shows the next revision of the draft."""
        revision = page.locator("[data-draft]").get_attribute("data-revision")
        yield
        expect(page.locator(f"[data-draft]:not([data-revision='{revision}'])")).to_be_visible()

    @contextmanager
    def _window(self) -> Iterator[BrowserContext]:
        with opened(self.browser, self.address) as context:
            yield context

    def _page(self, context: BrowserContext) -> Page:
        page, watch = context.new_page(), Watch(self.complaints)
        watch.over(page)
        return page

    def _choose_password(self, page: Page) -> None:
        page.locator("#password").fill(PASSWORD)
        page.locator("#repeated").fill(PASSWORD)
        page.get_by_role("button", name="Başla").click()
        page.wait_for_url(lambda url: "/setup/" not in url)

    def _shot(self, page: Page, name: str) -> None:
        if self.shots is not None:
            page.screenshot(path=self.shots / f"{name}.png", full_page=True)

    @staticmethod
    def _check_pdf(content: bytes) -> None:
        import pypdfium2

        document = pypdfium2.PdfDocument(content)
        text = "".join(page.get_textpage().get_text_range() for page in document)
        document.close()
        assert CORRECTION in " ".join(text.split()) and PATIENT in text
