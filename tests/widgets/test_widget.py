"""A widget shows itself also where no script runs."""

from __future__ import annotations

import pytest

from wslab.widgets.widget import Widget


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
