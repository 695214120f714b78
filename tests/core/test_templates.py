"""Whatever a template is given is escaped, and an unknown place is refused."""

import pytest
from jinja2 import TemplateNotFound

from smallscale.core.templates import template


def test_what_it_is_given_is_escaped():
    page = template("values/votes.html.j2")
    assert page.environment.autoescape is True
    assert page.environment.from_string("{{ x }}").render(x="<b>") == "&lt;b&gt;"


@pytest.mark.parametrize("place", ["values/nothing.html.j2", "../setup.py"])
def test_a_place_outside_or_without_a_template_is_not_found(place):
    with pytest.raises(TemplateNotFound):
        template(place)
