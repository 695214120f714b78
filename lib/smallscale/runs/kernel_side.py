"""What runs inside a kernel: a report on what it used and which files it read.

An audit hook notes the files that the notebook reads, and the folders that it lists:
code that is run by `exec`, by a command, or from an archive is named by no import, and
neither is a table of numbers. Databases and libraries that are opened in C are noted
too. Forked children have the hook, and tell what it hears there. What another language
opens without a word to Python, such as safetensors, is not noted, nor is what a process
reads that was started anew: `execute.py` adds the files that cells name.
"""

import importlib.util
import json
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from platformdirs import user_cache_dir

Stamp = tuple[int, int, int]  # of a file: when it was written, its size, its place
Kind = Literal["read", "opened", "listed", "written"]
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
LISTS = ("os.listdir", "os.scandir")
LOOKING = ("importlib", "pkgutil")  # what lists folders to find modules
# Places that hold nothing of the user's own, unless the notebook itself lies there.
ROOTS = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys")
SYSTEM = (*ROOTS, "/usr", "/var", sys.prefix, sys.base_prefix)
METADATA = (".egg-info", ".dist-info")  # end the names of installers' folders
MAKES = ("os.mkdir", "os.remove", "os.rmdir")  # events that change what a folder lists
CACHES = ("SMALLSCALE_CACHE", "SMALLSCALE_MODELS")  # variables that name more of them
STARTS = ("subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.posix_spawn")


class FileWatch:
    """Notes which files this process and its forks read and write, from now on."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        # In this file, which has no name, a forked child writes what it notes.
        self.told = tempfile.TemporaryFile()  # noqa: SIM115
        self.told_place = _place(self.told.fileno())
        self.folder = os.getcwd()  # the notebook's
        self.since = time.time()
        self.read: set[str] = set()
        # Opened where nobody tells whether to read or to write, and as they were then.
        self.opened: dict[str, Stamp | None] = {}
        self.listed: set[str] = set()
        self.written: set[str] = set()
        self.has_started_processes = False

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note what an audit event says; whatever goes wrong is not its business."""
        with suppress(Exception):
            if event == "open":
                path, _, flags = arguments
                if isinstance(path, int):
                    return
                if _may_be_to_read(path, flags):
                    self._note_opened(path)
                else:
                    self._note(path, writes=bool(flags & WRITING))
            elif event == "sqlite3.connect":
                path, only_read = _database(os.fsdecode(arguments[0]))
                if only_read:
                    self._note(path, writes=False)
                else:
                    self._note_opened(path)
            elif event == "ctypes.dlopen":
                self._note_opened(arguments[0])
            elif event in LISTS:
                if not _is_import():
                    self._add(
                        "listed", os.path.abspath(os.fsdecode(arguments[0] or "."))
                    )
            elif event == "os.rename":
                self._note(arguments[0], writes=True)
                self._note(arguments[1], writes=True)
            elif event in MAKES:
                self._note(arguments[0], writes=True)
            elif event in STARTS:
                self.has_started_processes = True
            if event == "subprocess.Popen":
                self._note_named(arguments[1], arguments[2])
            elif event == "os.system":
                self._note_named(arguments[0], None)

    def _note_named(self, command: Any, cwd: Any) -> None:
        """Note the files that a command names: a child may read them."""
        words = [command] if isinstance(command, str | bytes) else command
        for word in map(os.fsdecode, words):
            for part in (word, *word.split()):  # a shell is given one text
                named = os.path.join(os.fsdecode(cwd or ""), part.strip("'\""))
                if os.path.isfile(named):
                    self._note(named, writes=False)

    def _note(self, path: str | bytes, *, writes: bool) -> None:
        file = os.path.abspath(os.fsdecode(path))
        if file.endswith(".pyc") and not writes:  # the source counts
            file = importlib.util.source_from_cache(file)
        self._add("written" if writes else "read", file)

    def _note_opened(self, path: str | bytes) -> None:
        file = os.path.abspath(os.fsdecode(path))
        if file not in self.opened:
            self._add("opened", file, _stamp(file))

    def _add(self, kind: Kind, file: str, stamp: Stamp | None = None) -> None:
        """Note a path as read, opened, listed or written; a child tells it as well."""
        if kind == "opened":
            self.opened.setdefault(file, stamp)
        else:
            noted: set[str] = getattr(self, kind)
            if file in noted:
                return
            noted.add(file)
        if os.getpid() == self.pid:
            return
        # A child that closed the file may have opened another under its number.
        if _place(self.told.fileno()) == self.told_place:
            line = json.dumps([kind, file, stamp]) + "\n"
            os.write(self.told.fileno(), line.encode())

    def _hear_children(self) -> None:
        """Note what forked children have told."""
        number = self.told.fileno()
        if _place(number) != self.told_place:
            return
        for line in os.pread(number, os.fstat(number).st_size, 0).splitlines():
            with suppress(ValueError):  # a child that was killed may have told half
                kind, file, stamp = json.loads(line)
                self._add(kind, file, tuple(stamp) if stamp else None)

    def files(self, beside: set[str]) -> list[str]:
        """Return the files read and the folders listed that are the user's own.

        Those in `beside`, the folders of the user's modules, are. Left out are files
        that the notebook, or a process it started, has written, what was opened to read
        or write and has changed since, and folders that it has written into.
        """
        with suppress(OSError):
            self._hear_children()
        files = set(self.read)
        files |= {
            file
            for file, stamp in self.opened.items()
            if not self._is_new(file) or (stamp and stamp == _stamp(file))
        }
        files = {file for file in files if not self._may_be_a_childs(file)}
        folders = self.listed - {os.path.dirname(file) for file in self.written}
        folders = {path for path in folders if not self._may_be_a_childs(path)}
        found = [path for path in files - self.written if os.path.isfile(path)]
        found += [path for path in folders if os.path.isdir(path)]
        return [
            path
            for path in found
            if is_own(path, self.folder) or os.path.dirname(path) in beside
        ]

    def _may_be_a_childs(self, file: str) -> bool:
        return self.has_started_processes and self._is_new(file)

    def _is_new(self, file: str) -> bool:
        """Tell whether a file has been written since this process started, or is gone.

        A time to come is of a clock that has been set back since.
        """
        if not os.path.exists(file):
            return True
        return self.since <= os.stat(file).st_mtime <= time.time()


def _may_be_to_read(path: str | bytes, flags: int) -> bool:
    """Tell whether a file that is there is opened to read or write, as by np.memmap."""
    return bool(flags & os.O_RDWR) and not flags & os.O_TRUNC and os.path.isfile(path)


def _database(name: str) -> tuple[str, bool]:
    """Return the path of a database that sqlite is given, and whether it only reads.

    >>> _database("file:my%20votes.db?mode=ro")
    ('my votes.db', True)
    >>> _database("votes.db")
    ('votes.db', False)
    """
    if not name.startswith("file:"):
        return name, False
    parts = urlsplit(name)
    asked = parse_qs(parts.query)
    only_read = asked.get("mode") == ["ro"] or asked.get("immutable") == ["1"]
    return unquote(parts.path), only_read


def _stamp(file: str) -> Stamp | None:
    """Return what tells that a file was written, or None where there is none."""
    try:
        stat = os.stat(file)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _place(number: int) -> tuple[int, int]:
    """Return what tells an open file from all others."""
    stat = os.fstat(number)
    return stat.st_dev, stat.st_ino


def _is_import() -> bool:
    """Tell whether it is the search for a module that now lists a folder."""
    frame = sys._getframe(2)
    for _ in range(4):
        if any(word in frame.f_code.co_filename for word in LOOKING):
            return True
        if frame.f_back is None:
            break
        frame = frame.f_back
    return False


def is_own(path: str, folder: str) -> bool:
    """Tell whether a path leads to what is the user's own, seen from a notebook.

    What the system or an installer keeps, and what is hidden, is not. folder: the
    notebook's; whatever it lies in, such as a hidden folder, does not count against
    what lies there too.
    """
    rest = path.split(os.sep)
    for above in folder.split(os.sep):
        if rest[:1] != [above]:
            break
        rest = rest[1:]
    if any(part.startswith(".") or part.endswith(METADATA) for part in rest):
        return False
    made = (tempfile.gettempdir(), user_cache_dir())  # by programs, for a while
    named = [os.path.expanduser(os.environ.get(name, "")) for name in CACHES]
    places = [*SYSTEM, *made, *named]
    kept = [place for place in places if place and not _is_below(folder, [place])]
    return path not in kept and not _is_below(path, kept)


watch: FileWatch | None = None


def watch_files() -> None:
    """Note from now on which files this process reads and writes."""
    global watch
    watch = FileWatch()
    sys.addaudithook(watch.hear)


def report(places: list[str]) -> str:
    """Return as JSON what the kernel used.

    That is its peak memory in MB, the name of its GPU, if any, and the files of the
    modules it has loaded and of what it has read beside them or beside the notebook,
    those below one of these places (or of this package) aside.
    """
    torch = sys.modules.get("torch")
    gpu = torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None
    known = [*places, str(Path(__file__).parents[1])]
    modules = _files(known)
    beside = {os.path.dirname(file) for file in modules}
    others = watch.files(beside) if watch else []
    files = sorted({*modules, *(file for file in others if not _is_below(file, known))})
    return json.dumps({"peak_mb": _peak_mb(), "gpu": gpu, "files": files})


def _files(places: list[str]) -> list[str]:
    """Return the files of the loaded modules that lie below none of these places.

    A module without a spec was not imported but made on the spot, by code that counts.
    """
    files = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and getattr(module, "__spec__", None):
            path = _on_disk(os.path.abspath(file))
            if not _is_below(path, places):
                files.add(path)
    return sorted(files)


def _on_disk(path: str) -> str:
    """Return the archive that a module lies in, or its own path where it is a file."""
    place = path
    while not os.path.exists(place):
        place = os.path.dirname(place)
    return place if os.path.isfile(place) else path


def _is_below(path: str, places: list[str]) -> bool:
    known = tuple(place + os.sep for place in places)
    return path.startswith(known) or os.path.realpath(path).startswith(known)


def _peak_mb() -> float:
    """Return the peak memory of this process plus that of its largest child, in MB."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 1e6
    import resource

    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return round((own + child) * unit / 1e6, 1)
