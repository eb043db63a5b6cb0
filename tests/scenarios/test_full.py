"""Every story that is shipped, told in full: what it expects comes true."""

import pytest

from twin.places import scenarios_dir
from twin.setup import stories


@pytest.mark.long
@pytest.mark.parametrize("name", [path.stem for path in stories.files(scenarios_dir())])
def test_the_full_form_comes_true(name: str, told):
    result = told(name, short=False)
    assert result.expectations
    assert [each.expectation for each in result.expectations if not each.met] == []
