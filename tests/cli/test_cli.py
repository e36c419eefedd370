"""The command line as a person or a script meets it: help, wrong usage, languages, pipes, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Never

import pytest
from rich.progress import Progress
from typer.testing import CliRunner

from tests.patience import PATIENCE
from tetkik import __version__
from tetkik.cli import main, root, tables
from tetkik.cli.app import app
from tetkik.cli.console import _bars, one_sentence, progress
from tetkik.cli.root import build_app
from tetkik.errors import DataError
from tetkik.language import Language, Sentence
from tetkik.values import StepName

PROGRAM = (sys.executable, "-c", "from tetkik.cli import main; main()")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=PATIENCE,
    )


def test_version():
    result = run("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"tetkik {__version__}\n", "")


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Usage:", "Options:", "Commands:", "Show this message and exit.", "not a medical device")),
        ("tr", ("Kullanım:", "Seçenekler:", "Komutlar:", "Bu yardımı göster.", "tıbbi cihaz değildir")),
    ],
)
def test_help_in_both_languages(language, words):
    result = run("--help", TETKIK_LANGUAGE=language)
    assert result.returncode == 0
    for word in (*words, "triage", "models", "doctor", "demo"):
        assert word in " ".join(result.stdout.split())


def test_no_english_is_left_in_a_turkish_help_page():
    for command in (("models", "export"), ("doctor",), ("triage", "clean"), ("models",)):
        page = " ".join(run(*command, "--help", TETKIK_LANGUAGE="tr").stdout.split())
        for word in ("Usage", "Options", "Arguments", "Commands", "required", "default:", "Show", "exit"):
            assert word not in page, (command, word)


def test_every_command_has_a_help_page():
    runner = CliRunner()
    pages: list[tuple[str, ...]] = [()]
    while pages:
        path = pages.pop()
        result = runner.invoke(app, [*path, "--help"])
        assert result.exit_code == 0, path
        if "Commands:" in result.output:
            listed = result.output.split("Commands:")[1].splitlines()
            pages += [(*path, line.split()[0]) for line in listed if line[:3].strip() and line.strip()]


def test_of_several_processes_the_first_prints():
    printed, silent = (run("models", "list", RANK=rank) for rank in ("0", "1"))
    assert printed.stdout and (silent.returncode, silent.stdout) == (0, "")


def test_nothing_at_all_is_answered_with_help():
    result = run()
    assert result.returncode == 2
    assert "Commands:" in result.stdout
    assert result.stderr == ""


WRONG = [
    (("modles",), "There is no command modles; did you mean `tetkik models`?", "mi demek istediniz?"),
    (("models", "xyz"), "There is no command xyz; `tetkik models --help` lists", "diye bir komut yok"),
    (("models", "list", "--jsno"), "There is no option --jsno", "diye bir seçenek yok"),
    (("models", "show"), "`tetkik models show` needs MODEL", "MODEL verilmeli"),
    (("models", "export", "a"), "`tetkik models export` needs --out", "--out verilmeli"),
    (("models", "export", "a", "--out"), "(--out needs a value)", "(--out bir değer ister)"),
    (("models", "list", "--json=3"), "(--json takes no value)", "(--json değer almaz)"),
    (("models", "show", "a", "b"), "(not expected: b)", "(beklenmiyordu: b)"),
    (
        ("triage", "collect", "doktorsitesi", "--out", "x", "--limit", "many"),
        "The value of --limit cannot be used (a whole number is needed)",
        "--limit için verilen değer kullanılamıyor (tam sayı gerekli)",
    ),
    (
        ("triage", "collect", "doktorsitesi", "--out", "x", "--limit", "0"),
        "The value of --limit cannot be used",
        "--limit için verilen değer kullanılamıyor",
    ),
    (("models", "show", "nothing"), "There is no model called nothing;", "nothing adlı bir model yok;"),
]
"""Arguments, and words of the sentence in English and in Turkish."""

_EACH = """
import json, os, sys
from tetkik.cli import app, main
for number, arguments in enumerate(json.load(sys.stdin)):
    if not os.fork():
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{number}.{name}", os.O_WRONLY | os.O_CREAT), stream)
        sys.argv[1:] = arguments
        sys.exit(main())
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""
"""Each in a process of its own, forked from one that has imported everything: that takes longest."""


@pytest.fixture(scope="module")
def wrong_usages(tmp_path_factory) -> dict[tuple[str, ...], list[tuple[str, str, str]]]:
    """For each of the arguments status, output and error output, in English and in Turkish."""
    every = [arguments for arguments, _, _ in WRONG]
    found: dict[tuple[str, ...], list[tuple[str, str, str]]] = {arguments: [] for arguments in every}
    for language in ("en", "tr"):
        folder = tmp_path_factory.mktemp(language)
        statuses = subprocess.run(
            [sys.executable, "-c", _EACH],
            cwd=folder,
            env={**os.environ, "TETKIK_LANGUAGE": language},
            input=json.dumps(every),
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=True,
            timeout=PATIENCE,
        ).stdout.split()
        for number, (arguments, status) in enumerate(zip(every, statuses, strict=True)):
            out, err = ((folder / f"{number}.{name}").read_text("utf-8") for name in ("out", "err"))
            found[arguments].append((status, out, err))
    return found


@pytest.mark.parametrize(("arguments", "english", "turkish"), WRONG)
def test_wrong_usage_is_one_sentence_and_status_2(wrong_usages, arguments, english, turkish):
    for sentence, (status, out, err) in zip((english, turkish), wrong_usages[arguments], strict=True):
        assert (status, out) == ("2", "")
        assert sentence in err
        assert len(err.splitlines()) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_taught_to_complete(shell):
    script = run(_TETKIK_COMPLETE=f"source_{shell}").stdout
    assert "_TETKIK_COMPLETE" in script


def test_completion_knows_the_commands():
    result = run(_TETKIK_COMPLETE="complete_bash", COMP_WORDS="tetkik mod", COMP_CWORD="1")
    assert result.stdout.split() == ["models"]


def test_a_bad_settings_file_is_one_sentence(tmp_path):
    file = tmp_path / "tetkik.toml"
    file.write_text('langauge = "tr"\n')
    result = run("models", "list", TETKIK_CONFIG=str(file))
    assert result.returncode == 2
    assert "The setting langauge cannot be used" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert run("--help", TETKIK_CONFIG=str(file)).returncode == 0


def test_turkish_letters_survive_any_locale():
    result = run("--help", TETKIK_LANGUAGE="tr", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert "Kullanım" in result.stdout
    assert result.stderr == ""


def test_a_closed_pipe_says_nothing():
    code = "from tetkik.cli.console import out\nfrom tetkik.cli.app import app\nimport typer\n"
    code += "@app.command('flood')\ndef flood():\n    [out.print('x' * 60) for _ in range(20000)]\n"
    code += "@app.command('echo')\ndef echo():\n    [typer.echo('x' * 60) for _ in range(20000)]\n"
    code += "from tetkik.cli import main, root; root.build_app = lambda words: app; main()"
    for name in ("flood", "echo"):
        process = subprocess.Popen(
            [sys.executable, "-c", code, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        process.stderr.close()
        assert process.wait(timeout=PATIENCE) == 1


def test_ctrl_c_is_one_word_and_status_130():
    code = "from tetkik.cli.app import app\nimport time\n"
    code += "@app.command('sleep')\ndef sleep():\n    print('ready', flush=True)\n    time.sleep(60)\n"
    code += "from tetkik.cli import main, root; root.build_app = lambda words: app; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "sleep"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (130, "Stopped.\n")


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (
            DataError("{path} is not a text file; give a CSV file.", path="a[1].csv"),
            1,
            "a[1].csv is not a text",
        ),
        (OSError(28, "No space left on device", "model.npz"), 1, "The disk is full (model.npz)"),
        (PermissionError(13, "Permission denied", "x"), 1, "There is no permission for x"),
        (FileNotFoundError(2, "No such file", "x"), 1, "There is no file x"),
        (IsADirectoryError(21, "Is a directory", "x"), 1, "x is a folder"),
        (OSError(36, "File name too long", "x"), 1, "x cannot be used (File name too long)"),
        (KeyboardInterrupt(), 130, "Stopped."),
    ],
)
def test_every_expected_failure_is_one_sentence(capsys, error, status, sentence):
    with pytest.raises(SystemExit) as caught, one_sentence():
        raise error
    said = capsys.readouterr()
    assert caught.value.code == status
    assert sentence in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


def test_a_fault_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError), one_sentence():
        _ = 1 / 0


def test_errors_are_in_turkish(capsys, turkish_messages):
    with pytest.raises(SystemExit), one_sentence():
        raise OSError(28, "No space left on device", "model.npz")
    assert capsys.readouterr().err == "Disk dolu (model.npz); yer açıp komutu yeniden çalıştırın.\n"


def test_progress_says_what_else_is_known_of_a_step(capsys):
    step = StepName("train", Sentence("loss {loss:.4f}", {"loss": 0.5}))
    with progress("work") as tell:
        tell(step, 1, 2)
        tell("train", 2, 2)
    assert capsys.readouterr().err.splitlines() == ["work: train 1/2 loss 0.5000", "work: train 2/2"]
    bar = Progress()
    for name in (step, "train"):
        _bars(bar)(name, 1, 2)
    assert [task.fields["note"] for task in bar.tasks] == ["loss 0.5000", ""]


def test_progress_when_piped_is_a_line_now_and_then(capsys):
    with progress("work") as tell:
        for done in range(101):
            tell("known", done, 100)
        for done in range(1, 121):
            tell("unknown", done, None)
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "unknown" not in line] == [
        f"work: known {done}/100" for done in range(0, 101, 10)
    ]
    assert [line for line in lines if "unknown" in line] == [
        f"work: unknown {done}" for done in (1, 2, 5, 10, 20, 50, 100)
    ]


def test_a_folder_given_as_a_table_is_one_sentence(tmp_path: Path):
    result = CliRunner().invoke(app, ["triage", "evaluate", str(tmp_path)])
    assert result.exit_code == 1
    assert "is a folder, and a file is needed" in result.stderr


def test_the_page_of_help_is_that_of_all_commands_and_loads_none():
    assert (
        CliRunner().invoke(build_app(["--help"]), ["--help"]).output
        == CliRunner().invoke(app, ["--help"]).output
    )
    code = "import sys; from tetkik.cli.root import build_app; build_app(['--help']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"tetkik.cli.models", "tetkik.cli.demo", "tetkik.bundle"} & set(loaded.split())


def test_only_the_command_that_is_called_is_loaded():
    wrong = build_app(["modles"])
    assert len(wrong.registered_groups) == len(app.registered_groups) > 5
    code = "import sys; from tetkik.cli.root import build_app; build_app(['models']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert {one for one in loaded.split() if one.startswith("tetkik.cli.")} >= {"tetkik.cli.models"}
    assert not {"tetkik.cli.triage", "tetkik.cli.findings", "tetkik.cli.caption"} & set(loaded.split())


def test_ctrl_c_while_a_command_is_loaded_says_nothing(monkeypatch, capsys):
    def interrupted(words):
        raise KeyboardInterrupt

    monkeypatch.setattr(root, "build_app", interrupted)
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().err) == (130, "")


@pytest.mark.parametrize("as_json", [True, False])
def test_an_evaluation_is_written_before_it_is_shown(tmp_path, monkeypatch, as_json):
    def closed(*_: object) -> Never:
        raise BrokenPipeError  # as after `| head`

    def write(_view: object, folder: Path, _language: Language) -> tuple[Path, ...]:
        (folder / "page.html").touch()
        return (folder / "page.html",)

    monkeypatch.setattr(tables, "echo_json", closed)
    monkeypatch.setattr(tables, "show_evaluation", closed)
    monkeypatch.setattr("tetkik.lab.engine.charts.write_evaluation", write)
    view: Any = SimpleNamespace(evaluation=SimpleNamespace(as_json=lambda language: {}))
    with pytest.raises(BrokenPipeError):
        tables.deliver(view, as_json=as_json, folder=tmp_path)
    assert (tmp_path / "page.html").exists()
