"""How is a piece of HTML written? From a template that stands beside its module."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, Template

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1]),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


def template(place: str) -> Template:
    """Return a template of the library, which escapes whatever it is given.

    place: its path below the library's folder, such as "dpo/policy.html.j2". Raises
    jinja2.TemplateNotFound where there is none.
    """
    return _TEMPLATES.get_template(place)
