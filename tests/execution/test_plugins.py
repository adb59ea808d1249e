"""harness/execution/plugins.py: plugins are loaded before workers are forked, where nothing is lost by a fork."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.helpers.plugins import install_method

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each worker loads the plugins")

LOADED = (
    "import sys; import harness.execution.preload; print([n for n in ('crash', 'harness_rfs') if n in sys.modules])"
)


@pytest.mark.parametrize(
    ("at_import", "loaded"),
    [
        pytest.param("", ["crash", "harness_rfs"], id="quiet"),
        pytest.param(
            "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()", [], id="thread"
        ),
        pytest.param("import torch; torch.ones(4000, 400) @ torch.ones(400, 400)", [], id="threads of C code"),
        pytest.param("import os; os._exit(0)", [], id="ends the process"),
        pytest.param("raise ImportError('broken')", ["harness_rfs"], id="broken"),
    ],
)
def test_plugins_are_loaded_once_unless_that_starts_threads(tmp_path, at_import, loaded):
    install_method(tmp_path, "pass")
    module = tmp_path / "crash.py"
    module.write_text(f"{at_import}\n{module.read_text()}")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "2"}
    found = subprocess.run([sys.executable, "-c", LOADED], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout == f"{loaded}\n", found.stderr


def test_a_worker_finds_what_was_installed_since_its_server_began(tmp_path, monkeypatch):
    from harness.execution import plugins

    monkeypatch.setattr(plugins, "_loaded", None)
    plugins.load()
    kept = plugins.catalogue()
    assert plugins.catalogue() is kept
    install_method(tmp_path, "pass")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "crash" not in kept.methods
    assert "crash" in plugins.catalogue().methods
