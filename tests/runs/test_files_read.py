"""What a notebook ran or read, though no import names it, must be what it was."""

import json
import os
import sqlite3
import subprocess
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from smallscale.runs.kernel_side import FileWatch

Write = Callable[..., Path]
Smallscale = Callable[..., subprocess.CompletedProcess[str]]

CELLS = {
    "by-exec": "text = open('helper.py').read()\nexec(text)",
    "by-name": "name = 'helper'\nexec(open(name + '.py').read())",
    "by-run": "%run helper",
    "by-variable": "name = 'helper.py'\n%run $name",
    "by-command": (
        "import subprocess, sys\nsubprocess.run([sys.executable, 'helper.py'])"
    ),
    "by-shell": "import os\nname = 'helper'\nos.system(f'python {name}.py')",
    "by-spec": (
        "from importlib.util import module_from_spec, spec_from_file_location\n"
        "spec = spec_from_file_location('own', 'helper.py')\n"
        "spec.loader.exec_module(module_from_spec(spec))"
    ),
    "by-archive": "import sys\nsys.path.insert(0, 'archive.zip')\nimport zipped",
    "by-table": "from single import gain",
    "by-table-elsewhere": (
        "import sys\nsys.path.insert(0, '../elsewhere')\nimport far"
    ),
    "by-path-above": "open('../elsewhere/table.json').read()",
    "by-listing": "from pathlib import Path\nprint(len(list(Path('many').glob('*'))))",
    "by-walk": "import os\nprint(sum(len(names) for _, _, names in os.walk('many')))",
    "by-another-language": (
        "from safetensors.numpy import load_file\nload_file('gain.safetensors')"
    ),
    "by-database": (
        "import sqlite3\nname = 'gain'\n"
        "sqlite3.connect(f'{name}.sqlite').execute('select * from t').fetchall()"
    ),
    "by-database-address": (
        "import sqlite3\nname = 'gain'\n"
        "sqlite3.connect(f'file:{name}.sqlite?mode=ro', uri=True).execute('select 1')"
    ),
    "by-memory-map": (
        "import numpy as np\nname = 'gain'\n"
        "print(np.memmap(name + '.dat')[0])  # to read and write, unless asked else"
    ),
    "by-line": "!sort table.json > /dev/null",
    "by-forks": (
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "def read(name): return open(name + '.json').read()\n"
        "with ProcessPoolExecutor(1, mp_context=get_context('fork')) as pool:\n"
        "    print(*pool.map(read, ['table']))"
    ),
    "by-a-forks-listing": (
        "import os\nchild = os.fork()\n"
        "if not child:\n    os.listdir('many')\n    os._exit(0)\n"
        "print(os.waitpid(child, 0)[1])"
    ),
    "by-a-loader": (
        "from torch.utils.data import DataLoader\n"
        "class Tables:\n"
        "    def __len__(self): return 2\n"
        "    def __getitem__(self, i): return int(open('tab' + 'le.json').read())\n"
        "print(*DataLoader(Tables(), num_workers=1, multiprocessing_context='fork'))"
    ),
}
WRITES = {
    "maps-what-it-makes": (
        "import numpy as np\n"
        "np.memmap('mapped.dat', dtype=float, mode='w+', shape=(3,))[:] = 1\n"
        "np.memmap('mapped.dat', dtype=float, mode='r+')[0] += 1"
    ),
    "writes": "open('made.txt', 'w').write('1')\nopen('made.txt').read()",
    "renames": (
        "import os\nopen('.part', 'w').write('1')\n"
        "os.replace('.part', 'renamed.txt')\nopen('renamed.txt').read()"
    ),
    "child": (
        "import subprocess, time\ntime.sleep(0.05)\n"
        "subprocess.run('echo 1 > of-a-child.txt', shell=True)\n"
        "open('of-a-child.txt').read()"
    ),
    "fork": (
        "import os\nchild = os.fork()\n"
        "if not child:\n    open('of-a-fork.txt', 'w').write('1')\n"
        "    open('of-a-fork.txt').read()\n    os._exit(0)\n"
        "print(os.waitpid(child, 0)[1])"
    ),
    "lists-what-it-writes": (
        "from pathlib import Path\nPath('own').mkdir(exist_ok=True)\n"
        "Path(f'own/{seed}.txt').write_text('1')\nlist(Path('own').iterdir())"
    ),
    "lists-what-it-moves": (
        "import os\nos.makedirs(f'moved/{seed}', exist_ok=True)\n"
        "os.rmdir(f'moved/{seed}')\nos.listdir('moved')"
    ),
    "writes-in-another-language": (
        "import numpy as np\nfrom safetensors.numpy import load_file, save_file\n"
        "save_file({'a': np.ones(1)}, 'made.safetensors')\n"
        "load_file('made.safetensors')"
    ),
    "writes-a-database": (
        "import sqlite3\nwith sqlite3.connect('made.sqlite') as made:\n"
        "    made.execute('create table if not exists t (x)')\n"
        "    made.execute('insert into t values (1)')"
    ),
    "imports": "import importlib.metadata\nimportlib.metadata.version('numpy')",
    "reads-the-system": "import os\nopen('/proc/uptime').read()\nos.listdir('/proc')",
    "lists-temporary-files": (
        "import os, tempfile\nos.listdir(tempfile.gettempdir())\n"
        "tempfile.mkstemp(prefix='smallscale-')"
    ),
    "reads-results": "open('../../results/runs.csv').read() if seed else ''",
}


def write_helpers(folder: Path, gain: int) -> None:
    reads = (
        "from pathlib import Path\n"
        "gain = (Path(__file__).parent / 'table.json').read_text()\n"
    )
    save_file({"gain": np.full(1, gain)}, folder / "gain.safetensors")
    (folder / "gain.dat").write_bytes(bytes([gain]))
    with sqlite3.connect(folder / "gain.sqlite") as database:
        database.execute("create table if not exists t (gain)")
        database.execute("insert into t values (?)", (gain,))
    (folder / "many").mkdir(exist_ok=True)
    (folder / "many" / f"{gain}.txt").touch()
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    (folder / "helper.py").write_text(f"print('gain', {gain})\n")
    for place, module in ((folder, "single"), (elsewhere, "far")):
        (place / f"{module}.py").write_text(reads)
        (place / "table.json").write_text(json.dumps(gain))
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr("zipped.py", f"gain = {gain}\n")


@pytest.mark.parametrize("kernels", [(), ("--cold",)])
def test_whatever_it_ran_or_read_is_noticed_and_what_it_wrote_is_not(
    write: Write, smallscale: Smallscale, kernels: tuple[str, ...]
) -> None:
    chosen = CELLS if not kernels else {"by-exec": CELLS["by-exec"]}
    for name, cell in (chosen | WRITES).items():
        folder = write(f"theme/{name}", cell).parent
    write_helpers(folder, 1)
    words = ("run", "all", *kernels)
    first = smallscale(*words)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "nothing to do" in smallscale(*words).stdout
    write_helpers(folder, 2)
    again = smallscale(*words).stdout
    missing = [name for name in chosen if f" completed: {name}-" not in again]
    assert not missing
    assert again.count(" completed: ") == len(chosen)
    assert "nothing to do" in smallscale(*words).stdout


def opened_by(watch: FileWatch, path: Path, how: str) -> None:
    """Tell the watch what Python tells when a file is opened so."""
    address = f"file:{path}?mode=ro"
    events = {
        "database": ("sqlite3.connect", (str(path),)),
        "database to read": ("sqlite3.connect", (address,)),
        "to read and write": ("open", (str(path), "r+", os.O_RDWR | os.O_CLOEXEC)),
        "library": ("ctypes.dlopen", (str(path),)),
    }
    watch.hear(*events[how])


KINDS = ["database", "database to read", "to read and write", "library"]


@pytest.mark.parametrize("how", KINDS)
def test_a_file_that_was_edited_before_it_was_opened_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The kernel had begun, so it is told as written meanwhile, and not passed over."""
    monkeypatch.chdir(tmp_path)
    watch = FileWatch()
    file = tmp_path / "table"
    time.sleep(0.01)
    file.write_text("edited")
    opened_by(watch, file, how)
    assert watch.files(set()) == [str(file)]


@pytest.mark.parametrize("how", KINDS)
def test_of_what_is_edited_while_it_is_open_only_what_is_read_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The others may have been written by the notebook itself."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "table"
    file.write_text("before")
    watch = FileWatch()
    opened_by(watch, file, how)
    assert watch.files(set()) == [str(file)]
    time.sleep(0.01)
    file.write_text("edited since")
    assert watch.files(set()) == ([str(file)] if how == "database to read" else [])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks there")
def test_a_fork_writes_only_into_the_watchs_own_file(tmp_path: Path) -> None:
    """One that has closed it may have opened another under its number."""
    watch = FileWatch()
    number = watch.told.fileno()
    mine = tmp_path / "mine"
    child = os.fork()
    if not child:
        watch.hear("open", (str(tmp_path / "first"), "r", 0))
        os.close(number)
        os.dup2(os.open(mine, os.O_CREAT | os.O_WRONLY), number)
        watch.hear("open", (str(tmp_path / "second"), "r", 0))
        os._exit(0)
    os.waitpid(child, 0)
    assert mine.read_bytes() == b""
    watch.files(set())
    assert watch.read == {str(tmp_path / "first")}


def test_a_notebook_that_ends_its_own_kernel_has_failed_in_plain_words(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    write("theme/last", "quit()")
    write("theme/middle", "quit()", "open('../../reached', 'w')")
    write("theme/exit", "import os\nos._exit(0)")
    done = smallscale("run", "all")
    assert "3 runs, 3 failed" in done.stdout
    assert done.stdout.count("a cell called quit() or exit()") == 2
    assert "the kernel ended (exit code 0)" in done.stdout
    assert "out of memory" not in done.stdout
    assert not (tmp_path / "reached").exists()


@pytest.mark.parametrize("kind", [(), ("--cold",)])
def test_a_notebook_that_leaves_its_kernel_without_words_has_failed_soon(
    write: Write, smallscale: Smallscale, kind: tuple[str, ...]
) -> None:
    write("theme/json", "import json", "json.dumps = None", "1")
    done = smallscale("run", "all", "--timeout", "20", *kind)
    assert "1 run, 1 failed" in done.stdout
    assert "the kernel could not answer: a cell replaced" in done.stdout
    assert "stopped after" not in done.stdout
