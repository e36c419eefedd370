"""How sources and rules are written: a strict grammar, one sentence for what does not follow it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetkik.errors import DataError, TetkikError, UsageError
from tetkik.lab.findings.sources import parse_rule, parse_spec, read_rules


@pytest.mark.parametrize(
    ("text", "kind", "path", "options", "weight"),
    [
        ("nih:data", "nih", "data", {}, 1.0),
        ("nih:data=2", "nih", "data", {}, 2.0),
        ("nih:a=b", "nih", "a=b", {}, 1.0),
        ("nih:run=2=0.5", "nih", "run=2", {}, 0.5),
        ("csv:C:/veri/etiket.csv", "csv", "C:/veri/etiket.csv", {}, 1.0),
        ("chexpert:d?uncertain=ignore=0.5", "chexpert", "d", {"uncertain": "ignore"}, 0.5),
        (
            "chexpert:d?uncertain=ignore&uncertain.Pleural Effusion=ones&views=all",
            "chexpert",
            "d",
            {"uncertain": "ignore", "uncertain.Pleural Effusion": "ones", "views": "all"},
            1.0,
        ),
        ("vindr:d?votes=any", "vindr", "d", {"votes": "any"}, 1.0),
        ("csv:t.csv?images=films=3", "csv", "t.csv", {"images": "films"}, 3.0),
    ],
)
def test_a_spec_is_read(text, kind, path, options, weight):
    spec = parse_spec(text)
    assert (spec.kind, spec.path.as_posix(), dict(spec.options), spec.weight) == (kind, path, options, weight)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("data/nih", "not a source"),
        ("nih", "not a source"),
        ("nib:data", "unknown kind nib"),
        ("nih:", "names no path"),
        ("nih:=2", "names no path"),
        ("nih:data=0", "weight"),
        ("nih:d?uncertain=zeros", "unknown option uncertain"),
        ("chexpert:d?uncertain=maybe", "value maybe"),
        ("chexpert:d?uncertain", "unknown option uncertain"),
        ("chexpert:d?uncertain.=ones", "unknown option uncertain."),
        ("chexpert:d?", "unknown option"),
        ("chexpert:d?views=all&views=frontal", "twice"),
        ("vindr:d?votes=", "value –"),
    ],
)
def test_a_wrong_spec_is_one_sentence(text, says):
    with pytest.raises(UsageError, match=says) as caught:
        parse_spec(text)
    assert str(caught.value).count("\n") == 0


@given(st.text(max_size=40) | st.text(":?=&nihcsvuncertain.0123", max_size=40))
def test_any_text_is_a_spec_or_one_sentence(text):
    try:
        spec = parse_spec(text)
    except TetkikError:
        return
    assert spec.weight > 0 and str(spec.path)


def test_a_rule_is_read():
    rule = parse_rule(r"original~\d{8}_\d{3}\.png=nih")
    assert rule.column == "original" and rule.pattern.fullmatch("00000075_000.png")
    assert len(rule.labels) == 15 and "Normal" in rule.labels
    assert parse_rule("a=b~x=y=Mass, no finding").labels == ("Mass", "Normal")


@pytest.mark.parametrize("text", ["original", "a~b", "~b=Mass", "a~=Mass", "a~b=", "a~(=Mass", "a~b=Lump"])
def test_a_wrong_rule_is_one_sentence(text):
    with pytest.raises(UsageError):
        parse_rule(text)


def test_rules_come_from_toml(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text('[[known]]\ncolumn = "view"\nmatches = "MRI|MR"\nlabels = ["brain"]\n', "utf-8")
    (rule,) = read_rules(file)
    assert rule.labels == ("Glioma", "Meningioma", "Pituitary", "No_Tumor")


@pytest.mark.parametrize(
    "content",
    [
        "known = 3",
        "[known]",
        "x = [",
        "",
        "[[known]]\ncolumn = 'a'\nmatches = 'b'",
        "[[known]]\ncolumn = 'a'\nmatches = '('\nlabels = ['nih']",
        "[[known]]\ncolumn = 'a'\nmatches = 3\nlabels = ['nih']",
        "[[known]]\ncolumn = 'a'\nmatches = 'b'\nlabels = 'nih'",
        "[[known]]\ncolumn = 'a'\nmatches = 'b'\nlabels = [1]",
        "[[known]]\ncolumn = 'a'\nmatches = 'b'\nlabels = ['Lump']",
        "known = ['a']",
    ],
)
def test_wrong_rule_files_are_named(tmp_path, content):
    file = tmp_path / "rules.toml"
    file.write_text(content, "utf-8")
    with pytest.raises(DataError, match=r"rules\.toml"):
        read_rules(file)
