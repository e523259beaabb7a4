"""Scripts and styles: the files of a view are one module, in which each name is there once."""

import re
from collections import Counter

import pytest

from wslab import widgets
from wslab.learn.predict import Prediction
from wslab.widgets.assets import read_static, with_code
from wslab.widgets.panels.panel import Panel

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
