"""A run's name changes with whatever its result depends on, and with nothing else."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smallscale.models import smollm2
from smallscale.notebook import fingerprints
from smallscale.notebook.fingerprints import bare, contents_hash, modules
from smallscale.runs import dependencies, plan
from smallscale.runs.catalogue import Notebook, choose, find_all
from smallscale.runs.parameters import Value
from smallscale.runs.plan import Identifier, inputs_hash, place_of, warm_imports
from tests.conftest import PARAMETERS

Write = Callable[..., Path]


def name(path: Path, **parameters: Value) -> str:
    inputs_hash.cache_clear()
    notebook = Notebook(path, "theme/nb")
    return Identifier(notebook).run({**defaults(notebook), **parameters})[0]


def defaults(notebook: Notebook) -> dict[str, Value]:
    return {name: of.default for name, of in notebook.parameters.items()}


def test_it_is_the_file_name_and_twelve_digits_the_same_every_time(
    write: Write,
) -> None:
    path = write("theme/nb", "x = 1")
    assert re.fullmatch(r"nb-[0-9a-f]{12}", name(path))
    assert name(path) == name(path)


def test_it_changes_with_code_and_parameters_but_not_with_prose(write: Write) -> None:
    first = name(write("theme/nb", "x = 1"))
    assert name(write("theme/nb", "x = 2")) != first
    assert name(write("theme/nb", "x = 1", title="Another title")) == first
    assert name(write("theme/nb", "x = 1"), seed=1) != first


def test_data_counts_by_what_it_holds_and_not_by_where_it_lies(
    write: Write, tmp_path: Path
) -> None:
    path = write("theme/nb", "x = 1")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "images").write_bytes(b"12")
    first = name(path, data=str(tmp_path / "a"))
    assert first != name(path)
    assert first == name(path, data=str(tmp_path / "b"))
    (tmp_path / "b" / "images").write_bytes(b"13")
    assert first != name(path, data=str(tmp_path / "b"))
    (tmp_path / "a" / "images").rename(tmp_path / "a" / "labels")
    assert first != name(path, data=str(tmp_path / "a"))


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_data_in_a_folder_that_is_a_link_counts(write: Write, tmp_path: Path) -> None:
    path = write("theme/nb", "x = 1")
    for folder in ("data", "elsewhere"):
        (tmp_path / folder).mkdir()
    (tmp_path / "elsewhere" / "images").write_bytes(b"12")
    (tmp_path / "data" / "train").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "circle").symlink_to(tmp_path / "data")
    first = name(path, data=str(tmp_path / "data"))
    (tmp_path / "elsewhere" / "images").write_bytes(b"13")
    assert name(path, data=str(tmp_path / "data")) != first


def test_contents_are_not_confused_by_moving_bytes_between_files(
    tmp_path: Path,
) -> None:
    hashes = set()
    for pair in (("ab", "c"), ("a", "bc"), ("abc", "")):
        for file, text in zip("xy", pair, strict=True):
            (tmp_path / file).write_text(text)
        hashes.add(contents_hash(tmp_path))
    assert len(hashes) == 3


def test_library_code_counts_without_comments_and_docstrings(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "smallscale"
    (package / "theme").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "theme" / "__init__.py").write_text(
        "from smallscale.theme.method import f\n"
    )
    (package / "theme" / "other.py").write_text("y = 1\n")
    method = package / "theme" / "method.py"
    method.write_text('"""Doc."""\ndef f():\n    """Doc."""\n    return 1  # why\n')
    monkeypatch.setattr(fingerprints, "PACKAGE", package)
    path = write("theme/nb", "from smallscale.theme import f")
    first = name(path)
    method.write_text('def f():\n    """Other words."""\n\n    return 1\n')
    assert name(path) == first
    (package / "theme" / "other.py").write_text("y = 2\n")  # not imported
    assert name(path) == first
    method.write_text("def f():\n    return 2\n")
    assert name(path) != first


def test_data_files_beside_library_modules_count(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "smallscale"
    for theme in ("theme", "other"):
        (package / theme / "__pycache__").mkdir(parents=True)
        (package / theme / "__init__.py").write_text("x = 1\n")
        (package / theme / "words.txt").write_text("one")
    (package / "__init__.py").touch()
    monkeypatch.setattr(fingerprints, "PACKAGE", package)
    path = write("theme/nb", "import smallscale.theme")
    first = name(path)
    (package / "other" / "words.txt").write_text("two")  # not imported
    (package / "theme" / "__pycache__" / "x.pyc").write_text("two")
    assert name(path) == first
    (package / "theme" / "words.txt").write_text("two")
    assert name(path) != first


def test_a_module_beside_the_notebook_counts_too(write: Write) -> None:
    path = write("theme/nb", "def g():\n    import helper")
    (path.parent / "helper.py").write_text("x = 1\n")
    first = name(path)
    (path.parent / "helper.py").write_text("x = 2\n")
    assert name(path) != first


# ---- notebooks and their cells -------------------------------------------------------


def test_notebooks_of_one_content_are_two(write: Write, tmp_path: Path) -> None:
    for theme in ("one", "two"):
        write(f"{theme}/nb", "x = 1")
    one, two = find_all(tmp_path).values()
    run = defaults(one)
    assert Identifier(one).run(run)[0] != Identifier(two).run(run)[0]


def test_notebooks_of_one_file_name_outside_are_two(
    write: Write, tmp_path: Path
) -> None:
    content = write("theme/nb", "x = 1").read_bytes()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "nb.ipynb").write_bytes(content)
    one, two = choose(["a/nb.ipynb", "b/nb.ipynb"], tmp_path)
    assert (one.name, two.name) == ("a/nb", "b/nb")
    assert name(one.path) != name(two.path)
    # Each from its own folder, where both have one name.
    (one,) = choose(["nb.ipynb"], tmp_path / "a")
    (two,) = choose(["nb.ipynb"], tmp_path / "b")
    run = defaults(one)
    assert Identifier(one).run(run)[0] != Identifier(two).run(run)[0]
    # Also with the place told from the folder of the results.
    results = tmp_path / "results"
    assert Identifier(one, results).run(run)[0] != Identifier(two, results).run(run)[0]


def test_a_checkout_that_moves_with_its_results_keeps_its_runs(
    write: Write, tmp_path: Path
) -> None:
    content = write("theme/nb", "x = 1").read_bytes()
    runs = set()
    for checkout in ("here", "there"):
        path = tmp_path / checkout / "notebooks" / "theme" / "nb.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        (notebook,) = find_all(tmp_path / checkout).values()
        assert place_of(notebook, tmp_path / checkout / "results") == (
            "../notebooks/theme"
        )
        identifier = Identifier(notebook, tmp_path / checkout / "results")
        runs.add(identifier.run(defaults(notebook))[0])
    assert len(runs) == 1


@pytest.mark.parametrize("tag", ["raises-exception", "skip-execution"])
def test_tags_that_steer_the_run_count_and_others_do_not(
    write: Write, tag: str
) -> None:
    path = write("theme/nb", "x = 1")
    first = name(path)
    notebook = json.loads(path.read_text())
    notebook["cells"][2]["metadata"]["tags"] = ["hide-input"]
    path.write_text(json.dumps(notebook))
    assert name(path) == first
    notebook["cells"][2]["metadata"]["tags"] = [tag]
    path.write_text(json.dumps(notebook))
    assert name(path) != first


# ---- the user's own code -------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        "!ls\nimport helper",
        "helper?\nimport helper",
        "%time import helper",
        "%%time\nimport helper",
        "%run helper.py",
        "!python helper.py",
        "%%bash\npython -c 'import helper'",
        "import importlib\nimportlib.import_module('helper')",
        "__import__('helper')",
    ],
)
def test_a_module_counts_however_a_cell_runs_it(write: Write, cell: str) -> None:
    path = write("theme/nb", cell)
    helper = path.parent / "helper.py"
    helper.write_text("x = 1\n")
    first = name(path)
    helper.write_text("x = 1  # one\n")
    assert name(path) == first
    helper.write_text("x = 2\n")
    assert name(path) != first


def test_an_own_package_on_the_path_counts_with_all_that_it_imports(
    write: Write, tmp_path: Path, own_path: Path
) -> None:
    package = own_path / "mine"
    (package / "deep" / "tables").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "deep" / "__init__.py").write_text("from ..other import x\n")
    (package / "other.py").write_text("import alone\nx = 1\n")
    (package / "unused.py").write_text("x = 1\n")
    (package / "deep" / "tables" / "one.csv").write_text("1")
    (own_path / "alone.py").write_text("x = 1\n")
    path = write("theme/nb", "def f():\n    from mine import deep")
    seen = [name(path)]
    (package / "unused.py").write_text("x = 2\n")
    assert name(path) == seen[0]
    for file, text in {
        package / "other.py": "import alone\nx = 2\n",
        own_path / "alone.py": "x = 2\n",
        package / "__init__.py": "x = 2\n",
        package / "deep" / "tables" / "one.csv": "2",
    }.items():
        file.write_text(text)
        seen.append(name(path))
    assert len(set(seen)) == 5


def test_a_package_without_init_counts_too(write: Write, own_path: Path) -> None:
    (own_path / "space").mkdir()
    (own_path / "space" / "part.py").write_text("x = 1\n")
    path = write("theme/nb", "from space import part")
    first = name(path)
    (own_path / "space" / "part.py").write_text("x = 2\n")
    assert name(path) != first


def test_what_comes_first_on_a_kernels_path_counts(
    write: Write, own_path: Path
) -> None:
    """IPython puts the notebook's folder after PYTHONPATH and the standard library."""
    path = write("theme/nb", "import helper, wave")
    for module in ("helper", "wave"):
        (path.parent / f"{module}.py").write_text("x = 1\n")
    first = name(path)
    (path.parent / "wave.py").write_text("x = 2\n")  # Python has one of its own
    assert name(path) == first
    (own_path / "helper.py").write_text("x = 1\n")
    second = name(path)
    (path.parent / "helper.py").write_text("x = 2\n")  # no longer the first
    assert name(path) == second
    (own_path / "helper.py").write_text("x = 2\n")
    assert name(path) != second


@pytest.fixture
def own_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path of the kernels."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    dependencies._python_path.cache_clear()
    yield folder
    dependencies._python_path.cache_clear()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that packages are installed in, with one release, wares 1.0."""
    site = tmp_path / "lib" / "site-packages"
    (site / "wares").mkdir(parents=True)
    (site / "wares" / "__init__.py").write_text("x = 1\n")
    (site / "wares-1.0.dist-info").mkdir()
    (site / "wares-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: wares\nVersion: 1.0\n"
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(dependencies, "_python_path", lambda: (False, (site,)))
    monkeypatch.setattr(dependencies, "_installed", lambda: frozenset({site}))
    dependencies.release.cache_clear()
    yield site
    dependencies.release.cache_clear()


def test_an_installed_release_counts_by_its_version(
    write: Write, installed: Path
) -> None:
    path = write("theme/nb", "from wares import x")
    first = name(path)
    (installed / "wares" / "__init__.py").write_text("x = 1; y = 2\n")
    assert name(path) == first
    metadata = installed / "wares-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("1.0", "1.1"))
    dependencies.release.cache_clear()
    assert name(path) != first


def test_what_was_installed_from_a_folder_counts_by_its_code(
    write: Write, installed: Path
) -> None:
    origin = json.dumps({"url": installed.as_uri(), "dir_info": {}})
    (installed / "wares-1.0.dist-info" / "direct_url.json").write_text(origin)
    path = write("theme/nb", "from wares import x")
    first = name(path)
    (installed / "wares" / "__init__.py").write_text("x = 2\n")
    assert name(path) != first


@pytest.mark.parametrize(
    "content",
    [
        b"def (",
        "# coding: latin-1\nx = 'é'\n".encode("latin-1"),
        "x = 'é'\n".encode("latin-1"),
        b"x = 1\0",
        b"\xef\xbb\xbfx = 1\n",
        b"(" * 5000,
    ],
)
def test_a_helper_of_any_content_has_a_hash(write: Write, content: bytes) -> None:
    path = write("theme/nb", "import helper")
    (path.parent / "helper.py").write_bytes(content)
    first = name(path)
    (path.parent / "helper.py").write_bytes(content + b"\nyy")
    assert name(path) != first


def test_a_helper_that_the_notebook_writes_counts_by_its_cell(write: Write) -> None:
    path = write("theme/nb", "%%writefile helper.py\nx = 1", "import helper")
    first = name(path)
    (path.parent / "helper.py").write_text("x = 1\n")
    assert name(path) == first


def test_a_warm_process_is_left_the_imports_that_are_nobodys_own(
    write: Write, own_path: Path
) -> None:
    (own_path / "mine.py").touch()
    path = write(
        "theme/nb",
        "import mine, wave as w, helper\nfrom helper import x\n"
        "from smallscale.notebook import Claims, explore\nfrom . import y",
        "def f():\n    import json",
    )
    (path.parent / "helper.py").touch()
    assert warm_imports(Notebook(path, "theme/nb")) == [
        "import wave as w",
        "from smallscale.notebook import Claims",
        "from smallscale.notebook import explore",
    ]


def test_versions_that_matter_count(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("theme/nb", "x = 1")
    first = name(path)
    monkeypatch.setattr("smallscale.runs.plan.versions", lambda: {"torch": "0"})
    assert name(path) != first


def test_imports_are_followed_through_packages_relatives_and_functions() -> None:
    found = modules("def f():\n    from smallscale.notebook import disk_cache")
    assert {
        "smallscale",
        "smallscale.notebook",
        "smallscale.notebook.disk_cache",
        "smallscale.notebook.fingerprints",
    } <= set(found)
    assert "torch" not in found
    assert "smallscale.runs" not in found
    assert "smallscale.notebook.fingerprints" in modules(
        "from . import fingerprints", package="smallscale.notebook"
    )


def test_bare_keeps_what_a_program_does() -> None:
    assert bare("def f():\n    'doc'\n    return 1") == bare(
        "def f():\n    return 1  # one"
    )
    assert bare("x = 'doc'") != bare("x = 'dok'")
    assert bare("def f():\n    'doc'") == bare("def f():\n    pass")


ASKS = [
    "from smallscale.models import language_model",
    "from smallscale.models.language_model import is_here",
    "import smallscale.models.smollm2",
    "from smallscale.models import RecordedModel",
    "from smallscale.models import recorded as kept",
    "if scale == 'full':\n    from smallscale.models import language_model",
    "import own",
]
ASKS_NOT = ["x = 1", "from smallscale.models import small_mlp", "import torch"]


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The answers that are kept of the language model."""
    folder = tmp_path / "language_model"
    folder.mkdir()
    (folder / "reading.jsonl").write_text("{}")
    monkeypatch.setattr(plan, "RECORDED", folder)
    return folder


@pytest.mark.parametrize("code", [*ASKS, *ASKS_NOT])
def test_a_run_without_the_language_model_is_another_than_one_with_it(
    write: Write, monkeypatch: pytest.MonkeyPatch, bundled: Path, code: str
) -> None:
    path = write("theme/nb", code)
    (path.parent / "own.py").write_text("from smallscale.models import smollm2")
    names = []
    for is_here in (False, True):
        monkeypatch.setattr(smollm2, "is_here", lambda is_here=is_here: is_here)
        names.append(name(path))
    monkeypatch.setattr(smollm2, "FOLDER", "smollm2-of-another-conversion")
    names.append(name(path))
    (bundled / "reading.jsonl").write_text('{"other": 1}')
    names.append(name(path))
    (bundled / "more.jsonl").write_text("{}")
    names.append(name(path))
    assert len(set(names)) == (len(names) if code in ASKS else 1)


def test_the_kept_answers_must_be_the_same_when_a_run_ends(
    write: Write, bundled: Path
) -> None:
    files = Identifier(Notebook(write("theme/nb", ASKS[0]), "theme/nb")).files
    kept = bundled / "reading.jsonl"
    assert str(kept) in files
    task = plan.Task("nb-0", None, {}, {}, bundled, {str(kept): files[str(kept)]})
    assert plan.changed(task) == ""
    kept.write_text("else")
    assert plan.changed(task) == str(kept)


def test_a_folder_in_place_of_a_name_counts_by_what_it_holds(
    write: Write, tmp_path: Path
) -> None:
    line = 'model: str = ""  # a folder or a hub name'
    path = write("theme/nb", "x = 1", parameters=f"{PARAMETERS}\n{line}")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text("{}")
    one = name(path, model=str(tmp_path / "a"))
    assert one != name(path, model="owner/model")
    (tmp_path / "a" / "config.json").write_text("[]")
    assert name(path, model=str(tmp_path / "a")) != one
    assert name(path, model=str(tmp_path / "b")) == one
