"""A widget shows itself also where no script runs."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from wslab import widgets
from wslab.learn.predict import Prediction
from wslab.widgets.panels.panel import Panel
from wslab.widgets.widget import Widget, read_static, with_code


class Light(Widget):
    _esm = "export default {}"

    def forms(self):
        return {"text/plain": "green", "text/html": "<p>green</p>"}


def test_all_forms_stand_beside_the_widget():
    light = Light()
    data, _ = light._repr_mimebundle_()
    assert data["text/plain"] == str(light) == repr(light) == "green"
    assert data["text/html"] == "<p>green</p>"
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == light.model_id
    light.close()


def test_a_view_without_forms_is_no_view():
    with pytest.raises(NotImplementedError):
        Widget.forms(Light())


SCRIPTS = {
    getattr(view, "__name__", ""): view._esm
    for view in [*(getattr(widgets, name) for name in widgets.__all__), Panel, Prediction]
    if hasattr(view, "_esm")
}
_DECLARED = re.compile(r"^(?:async )?(?:const|let|function|class) (\w+)", re.M)


def test_files_are_joined_in_order():
    joined = read_static("widgets/dom.js", "widgets/seconds/slider.js")
    assert joined.index("function h(") < joined.index("export default")


def test_backticks_are_code_and_the_rest_is_text():
    assert with_code("a `b<c` & d") == "a <code>b&lt;c</code> &amp; d"


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_scripts_files_declare_each_name_once(name):
    script = str(SCRIPTS[name])
    counts = Counter(_DECLARED.findall(script))
    assert len(counts) > 10
    assert [name for name, count in counts.items() if count > 1] == []
    assert script.count("export default") == 1
