"""A web process has loaded everything before it is asked for anything."""

import json
import subprocess
import sys

import pytest

from tests.house.checkout import ROOT

FIRST_REQUEST = """
import gc, json, sys
from importlib import import_module
from wsgiref.util import setup_testing_defaults

served = import_module(sys.argv[1])
loaded = set(sys.modules)
assert "content.views" in loaded
if sys.argv[1] == "config.wsgi":
    environ = {"PATH_INFO": "/api/v1/posts?cursor=x", "HTTP_HOST": "localhost"}
    setup_testing_defaults(environ)
    served.application(environ, lambda *_: None)
rooms = ("accounts", "api", "content", "eventbus", "media", "payments", "subscriptions")
late = [name for name in set(sys.modules) - loaded if name.partition(".")[0] in rooms]
print(json.dumps({"late": late, "frozen": gc.get_freeze_count(), "looked_at": len(gc.get_objects())}))
"""


@pytest.mark.parametrize("module", ["config.wsgi", "config.asgi"])
def test_the_garbage_collector_looks_at_nothing_that_was_loaded(module):
    printed = subprocess.run(
        [sys.executable, "-c", FIRST_REQUEST, module], check=True, cwd=ROOT, capture_output=True, text=True
    ).stdout
    found = json.loads(printed.splitlines()[-1])

    assert found["late"] == []
    assert found["looked_at"] < found["frozen"] / 10
