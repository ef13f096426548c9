"""The command line reads as documentation, starts at once and says errors in a sentence."""

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from interrupt import interrupted

from vilp_ros import __version__
from vilp_ros.cli import main as cli
from vilp_ros.errors import VilpError
from vilp_ros.figures import add_json, write_figures

VILP = Path(sys.executable).with_name("vilp")


def vilp(*args: str) -> subprocess.CompletedProcess:
    return subprocess.run([VILP, *args], capture_output=True, text=True, timeout=60)


def examples(text: str) -> list[list[str]]:
    """Command lines in a help text, without the program; remarks stand three spaces apart."""
    lines = re.findall(r"^  vilp (.*)", re.sub(r"\\\n\s*", "", text), re.M)
    return [shlex.split(re.split(r"\s{3,}", line)[0]) for line in lines]


def test_help_documents_every_verb_with_an_example():
    result = vilp("--help")
    assert result.returncode == 0
    words = result.stdout.split()
    for verb in cli.VERBS:
        module = cli._load(verb)
        assert " ".join(module.HELP.split()) in " ".join(words)
        assert "\n" not in module.HELP
        assert f"  vilp {verb}" in result.stdout


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_of_a_verb_explains_every_argument(verb):
    module = cli._load(verb)
    result = vilp(verb, "--help")
    assert result.returncode == 0
    assert module.DESCRIPTION.strip().splitlines()[0] in result.stdout
    parser = cli._parser(verb)
    subparser = parser._subparsers._group_actions[0].choices[verb]
    assert not [action.dest for action in subparser._actions if not (action.help or action.choices)]


@pytest.mark.parametrize("source", [None, *cli.VERBS])
def test_examples_are_commands_that_exist(source):
    text = cli.EXAMPLES if source is None else cli._load(source).DESCRIPTION
    for command in examples(text):
        cli._parser(command[0]).parse_args(command)


@pytest.mark.parametrize("path", ["folder", "folder/file/out.json"])
def test_figures_that_could_not_be_written_are_refused_before_the_work(tmp_path, path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").touch()
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_json(parser)
    with pytest.raises(argparse.ArgumentError, match=r"is a folder|cannot be written"):
        parser.parse_args(["--json", str(tmp_path / path)])


def test_figures_are_written_whole_or_not_at_all(tmp_path):
    parser = argparse.ArgumentParser()
    add_json(parser)
    path = parser.parse_args(["--json", str(tmp_path / "new/out.json")]).json
    assert not path.exists()
    write_figures(path, {"successes": 1})
    with pytest.raises(TypeError):
        write_figures(path, {"successes": object()})
    assert json.loads(path.read_text()) == {"successes": 1}
    write_figures(None, {"successes": 2})


def test_figures_go_down_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    parser = argparse.ArgumentParser()
    add_json(parser)
    path = parser.parse_args(["--json", str(pipe)]).json
    with ThreadPoolExecutor() as pool:
        heard = pool.submit(pipe.read_text)
        write_figures(path, [1])
    assert json.loads(heard.result()) == [1]
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("verb", ["eval", "bench", "collect", "demo"])
def test_what_measures_can_write_json(verb):
    assert "--json" in vilp(verb, "--help").stdout


def test_version():
    for program in [VILP], [sys.executable, "-m", "vilp_ros"]:
        printed = subprocess.check_output([*program, "--version"], text=True, timeout=60)
        assert printed == f"vilp_ros {__version__}\n"


def test_unknown_verb_names_the_others():
    result = vilp("evaluate")
    assert result.returncode == 2
    assert result.stderr == (f"vilp: unknown verb 'evaluate', available: {', '.join(cli.VERBS)}\n")


def test_help_imports_nothing_that_takes_long():
    code = "import sys; sys.argv[1:] = ['--help']; from vilp_ros.__main__ import main; main()"
    heavy = "{'torch', 'cv2', 'rclpy', 'h5py', 'rich', 'scipy', 'mujoco'} & set(sys.modules)"
    script = f"try:\n    {code}\nexcept SystemExit:\n    pass\nprint('heavy:', {heavy})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage: vilp")
    assert done.stdout.endswith("heavy: set()\n")


@pytest.mark.parametrize(
    ("outcome", "code", "stderr"),
    [
        (3, 3, ""),
        (VilpError("no bundle 'x', there is 'y'"), 2, "vilp: no bundle 'x', there is 'y'\n"),
        (KeyboardInterrupt(), 130, ""),
        (
            OSError(28, "No space left on device", "out.json"),
            2,
            "vilp: out.json cannot be written: No space left on device\n",
        ),
    ],
)
def test_outcome_of_a_verb_decides_the_exit_code(monkeypatch, capsys, outcome, code, stderr):
    def run(args):
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    verb = SimpleNamespace(HELP="", DESCRIPTION="", add_arguments=lambda parser: None, run=run)
    monkeypatch.setattr(cli, "_load", lambda name: verb)
    assert cli.main(["demo"]) == code
    assert capsys.readouterr().err == stderr


@pytest.mark.parametrize("module", ["vilp_ros.cli", "argparse", "vilp_ros.cli.latency", "numpy"])
def test_ctrl_c_while_it_imports_is_quiet(module):
    code, said = interrupted(["-m", "vilp_ros", "latency"], module)
    assert code in (130, -signal.SIGINT)  # the second: its work was done, it was leaving
    assert not [line for line in said if "Traceback" in line or "KeyboardInterrupt" in line]


def test_a_defect_keeps_its_traceback(monkeypatch):
    def run(args):
        raise ZeroDivisionError

    verb = SimpleNamespace(HELP="", DESCRIPTION="", add_arguments=lambda parser: None, run=run)
    monkeypatch.setattr(cli, "_load", lambda name: verb)
    with pytest.raises(ZeroDivisionError):
        cli.main(["demo"])


def test_a_reader_that_leaves_is_no_error():
    writer = subprocess.Popen([VILP, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    writer.stdout.close()
    assert writer.stderr.read() == b""
    assert writer.wait(timeout=60) in (0, 141)
