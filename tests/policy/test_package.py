"""The package's public names: all there, each from the module that the table says."""

import subprocess
import sys

import pytest

import twin.policy


def test_every_public_name_is_there_and_no_other():
    found = {name: getattr(twin.policy, name) for name in twin.policy.__all__}
    assert set(twin.policy._WHERE) == set(found) <= set(dir(twin.policy))
    with pytest.raises(AttributeError, match="has no attribute 'luck'"):
        _ = twin.policy.luck


def test_importing_the_package_loads_none_of_its_modules():
    code = "import sys, twin.policy; print(sorted(n for n in sys.modules if n.startswith('twin.policy.')))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
    code = "import sys; from twin.policy import first_fit; print('twin.policy.aware' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
