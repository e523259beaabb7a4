"""wslab.widgets: the views by name, each loaded when somebody asks for it."""

import subprocess
import sys

import pytest

from wslab import widgets


@pytest.mark.parametrize("name", widgets.__all__)
def test_each_name_is_a_view(name):
    view = getattr(widgets, name)
    assert view.__name__ == name
    assert name in dir(widgets)


def test_the_public_ones_are_the_same():
    import wslab

    assert (widgets.Browser, widgets.Inspector) == (wslab.Browser, wslab.Inspector)


def test_another_name_is_not_there():
    with pytest.raises(AttributeError, match="'wslab.widgets' has no attribute 'Lanes'"):
        _ = widgets.Lanes


def test_a_view_is_loaded_when_it_is_asked_for():
    program = """
import sys
from wslab import widgets
print("anywidget" in sys.modules, end=" ")
widgets.WhoIsHere
print("anywidget" in sys.modules, "wslab.widgets.browser" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False True False\n"
