"""Does a reader who cannot see, run scripts or reach a network get the whole page?"""

import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

from smallscale.runs.pages import (
    COPY_SCRIPT,
    _highlight,
    _inline,
    _mathml,
    notebook_page,
    save_figures,
)
from tests.runs.samples import Page, assert_closed, record

CELLS = [
    (
        "markdown",
        r"""# How little must change before it is wrong?

A classifier reads digits almost perfectly. We move every pixel by at most
$\varepsilon < 1$ and look again; the
[scaling laws](../foundations/scaling-laws.ipynb) are elsewhere, and
[the question](#The-question) is below.

$$
\begin{aligned}
\delta^\star &= \arg\max_{\|\delta\|_\infty \le \varepsilon}
                \ell(f_\theta(x + \delta), y) \\
             &\sim \mathcal{N}(\mathbf{0}, \sigma^2)
\end{aligned}
$$

<table><tr><td>objective</td><td>$a < b$ and $a &lt; c$</td></tr></table>

| objectives | prerequisites | minutes | papers it reproduces | supercalifragilistic |
|---|---|---|---|---|
| an adversarial_example_in_a_wild | gradients | 1 | Szegedy | 12345678901234567890 |

| | |
|---|---|
| **a headless** | table |

## The question

A formula that nobody can convert stays readable: $\nosuchcommand{x}$.""",
    ),
    (
        "parameters",
        'scale: str = "small"  # how much work; one of: tiny, small\n'
        "eps: float = 0.1  # radius [0, 1]",
    ),
    ("injected-parameters", "# Parameters of this run\nscale = 'small'\neps = 0.25"),
    (
        "code",
        """import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from smallscale.notebook import Claims, figure, source

accuracy = pd.DataFrame(
    {"eps": np.linspace(0, 0.5, 11), "accuracy": np.linspace(1, 0, 11) ** 2}
)
accuracy.head(3)""",
    ),
    (
        "hide-input",
        """fig, ax = plt.subplots()
ax.plot(accuracy["eps"], accuracy["accuracy"], marker="o")
ax.set(xlabel="radius of the change, eps", ylabel="accuracy", ylim=(0, 1))
figure(
    fig, title="A change of 0.25 halves what it knew", data=accuracy,
    alt='A falling line: accuracy against eps, "steep" at first & flat at the end.',
)""",
    ),
    ("markdown", "## What it is made of\n\nThe method, as it runs:"),
    ("code", "from smallscale.notebook import at_scale\n\nsource(at_scale)"),
    ("code", "plt.plot([1, 2]);"),
    (
        "code",
        "from tqdm import tqdm\n\n"
        "for _ in tqdm(range(3), desc='a bar', mininterval=0):\n    print('step')",
    ),
    (
        "code",
        'print("<script>alert(1)</script>", "\\x1b[31mred\\x1b[0m")\n'
        'print(" 10%\\r 20%\\r100%")',
    ),
    (
        "hide-input",
        """claims = Claims()
claims.add(
    "Undefended, it is wrong on most digits",
    measured=0.12, holds=True, tolerance="below 0.5", paper="0.11",
)
claims.add(
    "Trained against it, it is right on all",
    measured=0.81, holds=False, tolerance="1", reproduced=False,
)
claims.show()""",
    ),
    ("code", "import ipywidgets\n\nipywidgets.IntSlider(description='eps')"),
    (
        "hide-input",
        """from smallscale.notebook import explore

def dot(radius):
    return (
        f'<svg aria-label="a dot" viewBox="0 0 90 90"><circle r="{radius}"/></svg>'
        f"<p>a dot of radius {radius}</p>"
    )

explore(dot, {"radius": ipywidgets.IntSlider(value=7)})""",
    ),
    (
        "code",
        "names = [f'column {i}' for i in range(20)]\n"
        "pd.DataFrame(np.arange(60).reshape(3, 20) * 1001, columns=names)",
    ),
    ("code", "long_line = " + " + ".join(f"{i:>3}" for i in range(60))),
    ("code", "raise ValueError('eps must be at least 0; got <b>-1</b>')"),
]


def markdown(source):
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_markdown_cell(source)]
    return notebook


def code(output):
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell("pass", outputs=[nbformat.from_dict(output)])
    ]
    return notebook


@pytest.fixture(scope="module")
def executed():
    """A small notebook with one of everything, really executed."""
    notebook = nbformat.v4.new_notebook()
    for kind, source in CELLS:
        make = (
            nbformat.v4.new_markdown_cell
            if kind == "markdown"
            else nbformat.v4.new_code_cell
        )
        tags = {} if kind in ("markdown", "code") else {"tags": [kind]}
        notebook.cells.append(make(source, metadata=tags))
    NotebookClient(
        notebook, timeout=120, allow_errors=True, kernel_name="python3"
    ).execute()
    return notebook


def test_the_page_of_a_notebook(executed):
    """One of everything, and nothing that runs or is fetched."""
    text = notebook_page(executed, record())
    page = Page(text)

    assert [image["alt"] for image in page.all("img")] == [
        'A falling line: accuracy against eps, "steep" at first & flat at the end.',
        "<Figure size 640x480 with 1 Axes>",
        "a dot",
    ]
    figure = page.all("img")[0]
    assert (figure["id"], figure["title"], figure["width"]) == (
        "figure-1",
        "A change of 0.25 halves what it knew",
        "640",
    )
    assert len(page.all("math")) == 4
    assert r"<code>\nosuchcommand{x}</code>" in text
    assert len(page.all("h1")) == 1
    assert [
        tag for tag, _ in page.tags if tag in ("header", "nav", "main", "footer")
    ] == [
        "header",
        "nav",
        "nav",
        "main",
        "footer",
    ]
    assert page.all("html")[0]["lang"] == "en"
    assert "A widget stands here:" in text
    assert text.count("Parameters of this run</p>") == 1
    assert '<table class="claims">' in text
    assert "Return the value for this scale" in text  # source(), rendered
    # No colours, and the last of the progress.
    assert "&lt;script&gt;alert(1)&lt;/script&gt; red\n100%\n" in text
    assert text.count("a bar") == 1  # in the source: a bar that is done says nothing
    assert 'class="output stderr"' not in text
    assert "\x1b" not in text
    assert "eps must be at least 0; got &lt;b&gt;-1&lt;/b&gt;" in text
    assert_closed(page)
    assert len(re.sub(r"base64,[^\"]*", "", text)) < 60_000


def test_folded_code_says_what_it_holds_and_its_outputs_stay(executed):
    text = notebook_page(executed, record())
    details = re.findall(
        r'<details class="code"><summary>(.*?)</summary>(.*?)</details>', text, re.S
    )
    assert [summary for summary, _ in details] == [
        "Code that draws this figure",
        "Code that states these claims",
        "Code of this cell",
    ]
    plot, claims, explorer = (code for _, code in details)
    assert "plot" in plot
    assert "Undefended" in claims
    assert "circle" in explorer
    visible = re.sub(r"<details.*?</details>", "", text, flags=re.S)
    assert "<p>Figure: A change of 0.25 halves what it knew." in visible
    assert "Undefended, it is wrong on most digits" in visible


@pytest.mark.parametrize(
    "metadata", [{"tags": ["hide-input"]}, {"jupyter": {"source_hidden": True}}]
)
def test_a_cell_is_folded_by_its_tag_or_as_jupyterlab_folds_it(metadata):
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell("1 + 1", metadata=metadata)]
    assert "<summary>Code of this cell</summary>" in notebook_page(notebook, record())
    notebook.cells[0].metadata = {"jupyter": {"source_hidden": False}, "tags": ["x"]}
    assert "<summary>" not in notebook_page(notebook, record())


def test_a_still_stands_where_a_widget_was(executed):
    text = notebook_page(executed, record())
    assert "<p>a dot of radius 7</p>" in text
    assert "This is where the sliders start." in text
    assert text.count("A widget stands here:") == 1  # the one that has no still


def test_what_may_be_too_wide_can_be_reached_by_keyboard(executed):
    page = Page(notebook_page(executed, record(error="x" * 200)))
    blocks = [
        attributes
        for tag, attributes in page.tags
        if tag == "pre"
        or {"scroll", "formula"} & set((attributes.get("class") or "").split())
    ]
    assert len(blocks) > 20
    assert all(block["tabindex"] == "0" and block["aria-label"] for block in blocks)


def test_no_header_of_a_table_is_empty(executed):
    text = notebook_page(executed, record())
    tables = re.findall(r"<table.*?</table>", text, re.S)
    assert len(tables) == 7
    assert not [table for table in tables if re.search(r"<th\b[^>]*>\s*</th>", table)]
    (headless,) = (table for table in tables if "a headless" in table)
    assert "<thead>" not in headless
    (framed,) = (table for table in tables if "column 19" in table)
    assert framed.index("<td></td>") < framed.index("<th>column 0</th>")


@pytest.mark.parametrize(
    "header",
    [
        "<th></th>",
        "<th> \n </th>",
        '<th class="blank level0" >&nbsp;</th>',
        "<th>&#160;&#xA0;\xa0</th>",
        '<th scope="col"><span class="x"></span></th>',
        "<th scope=row>\n<b><br/></b></th>",
        "<TH></TH>",
    ],
)
def test_a_header_that_shows_nothing_is_a_cell(header):
    html = (
        f"<table><tr>{header}<th>named</th></tr><tr><td>1</td><td>2</td></tr></table>"
    )
    text = notebook_page(display(html), record())
    page = Page(text)
    assert len(page.all("th")) == 1
    assert "<th>named</th>" in text
    assert len(page.all("td")) == 3
    assert not any("scope" in cell for cell in page.all("td"))


@pytest.mark.parametrize(
    "header", ['<th><img src="data:," alt="a dot"></th>', "<th>0</th>", "<th>–</th>"]
)
def test_a_header_that_shows_something_stays_one(header):
    text = notebook_page(display(f"<table><tr>{header}</tr></table>"), record())
    assert header in text


def display(html):
    return code(
        {"output_type": "display_data", "metadata": {}, "data": {"text/html": html}}
    )


def test_an_image_without_words_gets_some():
    text = notebook_page(
        display("<img src='data:,'><img alt='' src='data:,'>"), record()
    )
    images = [image["alt"] for image in Page(text).all("img")]
    assert images == ["An image without a description", ""]


def test_the_contents_name_every_section_and_lead_there(executed):
    text = notebook_page(executed, record())
    contents = re.search(
        r'<nav aria-label="Contents".*?<details open>.*?</nav>', text, re.S
    )[0]
    links = Page(contents).all("a")
    assert re.findall(r">([^<]+)</a>", contents) == [
        "The question",
        "What it is made of",
    ]
    ids = [attributes.get("id") for _, attributes in Page(text).tags]
    assert all(unquote(link["href"][1:]) in ids for link in links)
    assert "Contents" not in notebook_page(markdown("# One\n\n## Two"), record())


def test_every_heading_but_the_first_shows_a_link_to_itself():
    words = '## Why *so*?\n\n## Why *so*?\n\n### 100 % & "more" ü'
    text = notebook_page(markdown(f"# One\n\n{words}"), record())
    page = Page(text)
    ids = [attributes.get("id") for _, attributes in page.tags]
    anchors = [a for a in page.all("a") if a.get("class") == "anchor"]
    assert len(anchors) == 3
    assert all(unquote(a["href"][1:]) in ids for a in anchors)
    assert anchors[2]["aria-label"] == 'Link to: 100 % & "more" ü'
    assert ">#</a>" in text, "an anchor shows without a pointer above it"


def test_no_level_of_headings_is_skipped_and_no_heading_is_empty():
    words = "### a\n\n### b\n\n##### c\n\n## d\n\n#### e\n\n# f\n\n##\n\n## g"
    text = notebook_page(markdown(words), record())
    found = re.findall(r"<h(\d)[^>]*>(?:<a[^>]*>#</a> )?([^<]*)<", text)
    assert found == [
        ("1", "How little must change"),
        ("2", "a"),
        ("2", "b"),
        ("3", "c"),
        ("2", "d"),
        ("3", "e"),
        ("2", "f"),
        ("2", "g"),
    ]


def test_code_can_be_hidden_and_copied(executed):
    """Hiding needs no script; the buttons are hidden until theirs has run."""
    text = notebook_page(executed, record())
    page = Page(text)
    (box,) = page.all("input")
    assert (box["type"], box["id"]) == ("checkbox", "hide-code")
    buttons = page.all("button")
    assert len(buttons) == text.count('<div class="highlight">') > 10
    assert all("hidden" in button for button in buttons)
    (script,) = page.scripts
    assert script == COPY_SCRIPT
    assert not Page(notebook_page(markdown("# One"), record())).scripts


def test_formulas_are_well_formed_whatever_stands_in_them():
    notebook = markdown(
        r"$$\text{a<script>} \max_x \frac{1}{2}$$ and $x_{$ and $\frac{1}$, as $5 & 6$"
    )
    text = notebook_page(notebook, record())
    assert (
        "<mtext>a&lt;script&gt;</mtext><munder><mo>max</mo><mi>x</mi></munder>" in text
    )
    assert r"<code>x_{</code>" in text
    assert r"<code>\frac{1}</code>" in text
    assert "<code>5 &amp; 6</code>" in text
    assert not Page(text).all("script")


def test_latex_output_is_a_formula():
    notebook = code(
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {"text/latex": r"$\displaystyle a < b$"},
        }
    )
    assert "<mi>a</mi><mo>&lt;</mo><mi>b</mi>" in notebook_page(notebook, record())


def test_headings_can_be_linked_and_there_is_one_h1():
    text = notebook_page(
        markdown('# One\n\n## Why *so*\n\n## Why *so*\n\n# Two "&"'), record()
    )
    assert re.findall(r"<(h\d) id=\"([^\"]*)\"", text) == [
        ("h1", "One"),
        ("h2", "Why-so"),
        ("h2", "Why-so-2"),
        ("h2", "Two-&quot;&amp;&quot;"),
    ]
    assert "<h1>How little must change</h1>" in notebook_page(
        markdown("no heading"), record()
    )


def test_links_that_would_lead_nowhere_are_words():
    text = notebook_page(
        markdown(
            "[a](../x.ipynb) [b](https://arxiv.org) [c](#d) [e](javascript:f) "
            "![g](h.png)"
        ),
        record(),
    )
    assert (
        '<p>a <a href="https://arxiv.org">b</a> <a href="#d">c</a> e <em>g</em></p>'
        in text
    )


def test_an_image_attached_to_a_cell_comes_along():
    notebook = markdown("![a dot](attachment:dot.png) ![gone](attachment:gone.png)")
    notebook.cells[0].attachments = {"dot.png": {"image/png": "AAAA"}}
    text = notebook_page(notebook, record())
    assert '<img src="data:image/png;base64,AAAA" alt="a dot" />' in text
    assert "<em>gone</em>" in text


def test_thumbnails_are_files_with_words(executed, tmp_path):
    figures = save_figures(executed, tmp_path)
    assert [figure["file"] for figure in figures] == ["figure-1.png", "figure-2.png"]
    assert figures[0]["title"] == "A change of 0.25 halves what it knew"
    assert figures[0]["alt"].startswith("A falling line")
    assert figures[1]["alt"] == "<Figure size 640x480 with 1 Axes>"
    for figure in figures:
        with Image.open(tmp_path / figure["file"]) as image:
            assert image.width <= 640


def test_an_image_that_is_none_is_left_out(tmp_path):
    notebook = code(
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {"image/png": "bm90IGFuIGltYWdl"},
        }
    )
    assert save_figures(notebook, tmp_path) == []


def test_threads_do_not_meet(executed):
    """Every page is its own, although the exporter is shared."""
    runs = [record(run=f"run-{i}", title=f"Run {i}") for i in range(12)]
    alone = [notebook_page(executed, run) for run in runs]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(notebook_page, [executed] * len(runs), runs)) == alone


def test_the_second_page_of_a_notebook_computes_no_code_and_no_formula_anew(executed):
    costly = (_highlight, _inline, _mathml)
    notebook_page(executed, record())
    before = [part.cache_info().misses for part in costly]
    assert any(before)
    notebook_page(executed, record())
    assert [part.cache_info().misses for part in costly] == before


def test_a_long_line_of_code_is_shown_and_not_coloured():
    """The patterns that colour it may take time in the square of its length."""
    short, long = ("print(0)  # " + "*" * stars for stars in (1_000, 50_000))
    assert _highlight(short) != _highlight(short, "text")
    assert _highlight(long) == _highlight(long, "text")
    assert "*" * 50_000 in _highlight(long)
