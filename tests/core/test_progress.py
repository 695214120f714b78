"""A bar while it runs, nothing when it is done."""

from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from smallscale.core.progress import ProgressBar

CELL = """\
from smallscale.core.progress import ProgressBar

print("before")
for i in ProgressBar(range(3), desc="three", mininterval=0):
    print(i)
with ProgressBar(desc="four", total=4, mininterval=0) as bar:
    bar.update(4)
print("after")
"""


def test_on_a_terminal_it_is_tqdms(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(ProgressBar(range(3), desc="three")) == [0, 1, 2]
    said = capsys.readouterr().err
    assert "three" in said
    assert said.split("\r")[-1].strip() == ""


def test_without_a_name_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(ProgressBar(range(3), desc="")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_in_a_notebook_it_leaves_nothing_behind() -> None:
    seen = []

    class Watching(NotebookClient):
        def process_message(self, message: Any, *where: Any) -> Any:
            if message["msg_type"] == "update_display_data":
                seen.append(message["content"]["data"])
            return super().process_message(message, *where)

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    Watching(notebook, kernel_name="python3", timeout=120).execute()
    assert any("three" in data.get("text/plain", "") for data in seen)
    assert any("four: 100%" in data.get("text/plain", "") for data in seen)
    outputs = notebook.cells[0].outputs
    assert [output.data for output in outputs if "data" in output] == [{}, {}]
    texts = [output.text for output in outputs if output.output_type == "stream"]
    assert "".join(texts) == "before\n0\n1\n2\nafter\n"
    assert {output.get("name", "stdout") for output in outputs} == {"stdout"}
