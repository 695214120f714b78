"""Is the Python that a cell runs found, whatever IPython's syntax it is dressed in?"""

import ast

import pytest

from smallscale.runs.cell_code import scripts, trees, written_files


def imported(cell: str) -> set[str]:
    names = set()
    for tree in trees(cell):
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module or "")
    return names


@pytest.mark.parametrize(
    "cell",
    [
        "import helper",
        "!ls\nimport helper",
        "import helper\nhelper?",
        "helper??\nfrom helper import x",
        "%time import helper",
        "%timeit -n 1 -r 1 import helper",
        "x = %time __import__('os')\nimport helper",
        "files = !ls\nimport helper",
        "%%time\nimport helper",
        "%%capture out\n%time import helper",
        "%%timeit -n 1\nfrom helper import x",
        "%matplotlib inline\nimport helper",
        "%load_ext helper",
        "%run -m helper",
        "!python -m helper --fast",
        "%sx python -m helper",
        "%%timeit import helper\npass",
        "%time 1 + \\\n  1\nimport helper",
        "x = (7\n% 3)\nimport helper",
        "x = 7 \\\n% 3\nimport helper",
        "if True:\n    !ls\n    import helper",
        "def f():\n    %time import helper",
        "/print 1\nimport helper",
        ",print a b\nimport helper",
    ],
)
def test_imports_are_found_in_cells_with_ipython_syntax(cell: str) -> None:
    assert "helper" in imported(cell)


@pytest.mark.parametrize("cell", ["x = (", "%%bash\nls -l", "\0", "(" * 5000])
def test_what_is_no_python_imports_nothing(cell: str) -> None:
    assert imported(cell) == set()


@pytest.mark.parametrize(
    "cell",
    [
        "%run helper.py",
        "%run -i helper.py 1 2",
        "%run 'helper.py'",
        "!python helper.py --fast > log",
        "out = !python helper.py",
        "%%bash\ncd .\npython helper.py",
        "exec(open('helper.py').read())",
        "import runpy\nrunpy.run_path('helper.py')",
        "%time\n%run helper.py",
        "%%time\n%run helper.py",
    ],
)
def test_scripts_that_a_cell_runs_are_found(cell: str) -> None:
    assert scripts([cell]) == {"helper.py"}


def test_a_file_that_a_cell_writes_is_no_script_of_its_own() -> None:
    cells = ["%%writefile -a helper.py\nimport x", "%run helper.py\n!python b.py"]
    assert written_files(cells) == {"helper.py"}
    assert scripts(cells) == {"b.py"}
    assert scripts(["open('out.py', 'w').write('1')", "'helper.py'"]) == set()
