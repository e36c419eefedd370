"""The file of systems: what it says, what is refused with its key, and how `--check` explains it."""

from __future__ import annotations

import pytest

from tetkik.errors import SettingError
from tetkik.integrations.systems import ResultForm, Service, explained, load_configuration
from tetkik.language import Language
from tetkik.settings import Settings

FILE = """
[listen]
tls_cert = "listen.pem"
tls_key = "listen.key"
[hl7]
[[peer]]
name = "ct1"
ae_title = "CT1"
addresses = ["10.1.2.3", "10.2.0.0/16", "2001:db8::/32"]
allow = ["store", "commit"]
character_set = "ISO_IR 148"
clock_offset_minutes = 7
host = "10.1.2.3"
expected_count = true
without_orders = true
[[peer]]
name = "ct1-old"
ae_title = "CT1"
addresses = ["10.9.0.1"]
allow = ["echo"]
[[peer]]
name = "pacs"
ae_title = "PACS"
host = "10.1.0.1"
priors = true
[[peer]]
name = "hbys"
addresses = ["10.1.0.9"]
allow = ["orders"]
hl7 = "10.1.0.9:2575"
mapping = "hbys.toml"
issuer = "HASTANE"
[[route]]
from = ["ct1"]
modality = ["DX", "CR"]
body_part = ["CHEST"]
model = "findings-mobilenet-cxr"
send = [{to = "pacs", as = ["sr", "pdf"]}, {to = "hbys", as = ["hl7"]}]
notify = ["Nöbetçi"]
[[route]]
model = "none"
"""


def known(systems, name):
    """A peer that there is."""
    found = systems.peer(name)
    assert found is not None
    return found


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "systems.toml"
    made.write_text(FILE, "utf-8")
    return made


def test_who_calls_is_known_by_title_and_address(file):
    systems = load_configuration(file)
    for address in ("10.1.2.3", "10.2.255.1", "2001:db8::7", "::ffff:10.2.0.1"):
        assert systems.caller(address, "CT1") is systems.peer("ct1")
    assert systems.caller("10.9.0.1", "CT1") is systems.peer("ct1-old")
    assert systems.caller("10.9.0.2", "CT1") is None and systems.caller("10.1.2.3", "CT2") is None
    assert systems.sender("10.1.0.9") is systems.peer("hbys") and systems.sender("10.1.2.3") is None
    assert known(systems, "ct1").may(Service.STORE) and not known(systems, "ct1").may(Service.ECHO)


def test_the_first_route_that_fits_counts_and_paths_lie_beside_the_file(file, tmp_path):
    systems = load_configuration(file)
    assert systems.route("ct1", "DX", "CHEST") is systems.routes[0]
    assert systems.route("ct1", "DX", "HAND") is systems.route("pacs", "DX", "CHEST") is systems.routes[1]
    assert systems.routes[0].send[0].forms == (ResultForm.SR, ResultForm.PDF)
    assert systems.listen is not None and systems.listen.tls_cert == tmp_path / "listen.pem"
    assert known(systems, "hbys").mapping == tmp_path / "hbys.toml"


def test_a_token_lies_in_a_file_of_its_own(file, tmp_path):
    (tmp_path / "tetkik-peer-pacs").write_text("s3cret\n")
    systems = load_configuration(file)
    pacs = known(systems, "pacs")
    assert pacs.authorization(Settings(secrets_dir=tmp_path)) == {"Authorization": "Bearer s3cret"}
    basic = pacs.model_copy(update={"user": "tetkik", "secret_file": tmp_path / "tetkik-peer-pacs"})
    assert basic.authorization(Settings()) == {"Authorization": "Basic dGV0a2lrOnMzY3JldA=="}
    lost = pacs.model_copy(update={"secret_file": tmp_path / "lost"})
    with pytest.raises(SettingError, match="is not there"):
        lost.authorization(Settings())
    assert known(systems, "ct1").authorization(Settings(secrets_dir=tmp_path)) == {}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('[[peer]]\nname = "CT 1"', "peer 5, name: it has another form"),
        ("[[peer]]\nport = 1", "peer 5, name: it is missing"),
        ('[[peer]]\nname = "a"\naddresses = ["10.1.2.3/8"]', "peer 5, addresses 1: an address or a network"),
        ('[[peer]]\nname = "a"\nallow = ["stor"]', "peer 5, allow 1: choose from"),
        ('[[peer]]\nname = "a"\nprot = 1', "peer 5, prot: there is no such setting"),
        ('[[peer]]\nname = "a"\nae_title = "SEVENTEEN_LETTERS"', "peer 5, ae_title: it has another form"),
        ('[[peer]]\nname = "ct1"', "two peers are called ct1"),
        (
            '[[peer]]\nname = "b"\nae_title = "CT1"\naddresses = ["10.2.3.0/24"]',
            "ct1 and b have one AE title",
        ),
        (
            '[[peer]]\nname = "b"\nallow = ["orders"]\naddresses = ["10.1.0.8/29"]',
            "hbys and b may both send orders from one address",
        ),
        ('[[route]]\nfrom = ["mr"]', "a route names mr, and no peer is called so"),
        (
            '[[route]]\nsend = [{to = "ct1-old", as = ["sr"]}]',
            "ct1-old gets results as sr and has no address",
        ),
        ('[[route]]\nsend = [{to = "pacs", as = ["fhir"]}]', "pacs gets results as fhir and has no address"),
        ('[[route]]\nsend = [{to = "pacs", as = []}]', "route 3, send 1, as: "),
        ('[[peer]]\nname = "a"\npriors = true', "priors of a asks by DICOM"),
        ('[[peer]]\nname = "a"\ncharacter_set = "ISO_IR 148x"', "ISO_IR 148x is no character set"),
        ("[listen]", "not valid TOML"),
        ("[other]", "other: there is no such setting"),
    ],
)
def test_a_fault_names_the_file_and_the_key(file, line, words):
    file.write_text(f"{FILE}\n{line}\n", "utf-8")
    with pytest.raises(SettingError) as raised:
        load_configuration(file)
    assert str(file) in str(raised.value) and words in str(raised.value)
    assert raised.value.in_language(Language.TR) != str(raised.value)


@pytest.mark.parametrize("content", [b"\xff", b"[listen]\nport = 1e400", b"#" * 1_000_001])
def test_what_is_no_such_file_is_one_sentence(tmp_path, content):
    file = tmp_path / "systems.toml"
    file.write_bytes(content)
    with pytest.raises(SettingError):
        load_configuration(file)


def test_a_certificate_needs_its_key(tmp_path):
    file = tmp_path / "systems.toml"
    file.write_text('[hl7]\ntls_ca = "ca.pem"')
    with pytest.raises(SettingError, match="TLS needs both"):
        load_configuration(file)


def test_it_is_explained_in_both_languages(file):
    sentences = list(explained(load_configuration(file)))
    english = "\n".join(sentence.in_language(Language.EN) for sentence in sentences)
    for words in (
        "We listen as TETKIK at 0.0.0.0, port 11112 (DICOM).",
        "[hl7]: without TLS",
        "[listen]: by TLS, without a certificate",
        "ct1 may send images, as CT1 from 10.1.2.3/32, 10.2.0.0/16, 2001:db8::/32.",
        "pacs may ask nothing of us.",
        "hbys may send orders and patients by HL7, from 10.1.0.9/32.",
        "ct1: text is read as ISO_IR 148",
        "ct1: its clock is ahead by minutes: 7.",
        "ct1 · DX, CR · CHEST: read by the model findings-mobilenet-cxr.",
        "ct1 · DX, CR · CHEST: signed results go to pacs as sr, pdf.",
        "We ask ct1 how many images a study has.",
        "hbys: its hospital numbers are of HASTANE.",
        "ct1: a study without an order opens a case, and no person is asked.",
        "pacs: earlier studies of a patient are fetched from there, 3 at most.",
        "pacs is called by DICOM at 10.1.0.1, port 104, as PACS.",
        "pacs: called by DICOM and HL7 without TLS.",
        "hbys is called by HL7 2.5.1 at 10.1.0.9:2575.",
        "hbys.toml.",
        "told of critical results: Nöbetçi.",
        "every study: read by no model.",
    ):
        assert words in english
    for sentence in sentences:
        assert sentence.in_language(Language.TR) != sentence.in_language(Language.EN)


def test_a_route_that_is_never_reached_is_said(file):
    file.write_text(f'{FILE}\n[[route]]\nfrom = ["pacs"]\n', "utf-8")
    english = [sentence.in_language(Language.EN) for sentence in explained(load_configuration(file))]
    assert any("are never reached" in sentence for sentence in english)
    file.write_text(FILE.replace('[[route]]\nmodel = "none"', ""), "utf-8")
    english = [sentence.in_language(Language.EN) for sentence in explained(load_configuration(file))]
    assert any(sentence.startswith("Any other study") for sentence in english)
