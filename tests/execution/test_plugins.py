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
        pytest.param("import subprocess; subprocess.Popen(['sleep', '600'])", [], id="starts a process"),
        pytest.param("raise ImportError('broken')", ["harness_rfs"], id="broken"),
    ],
)
def test_plugins_are_loaded_once_unless_no_process_could_be_forked_after_it(tmp_path, at_import, loaded):
    install_method(tmp_path, "pass")
    module = tmp_path / "crash.py"
    module.write_text(f"{at_import}\n{module.read_text()}")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "2"}
    found = subprocess.run(
        [sys.executable, "-c", LOADED], env=environment, capture_output=True, text=True, check=True, timeout=300
    )  # what holds its output open has ended, too
    assert found.stdout == f"{loaded}\n", found.stderr


def test_where_children_cannot_be_waited_for_workers_load_the_plugins(tmp_path):
    ignored = f"import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); {LOADED}"
    found = subprocess.run([sys.executable, "-c", ignored], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_a_module_of_the_current_folder_is_not_taken_for_the_plugin(tmp_path):
    """The fork server is ``python -c``, whose first place to import from would be the current folder."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "harness_rfs.py").write_text("raise ImportError('shadowed')")
    (tmp_path / "bench.py").write_text(
        "from harness.execution.lifeline import start_server\n"
        "from harness.execution.local import LocalExecutor\n"
        "if __name__ == '__main__':\n"
        "    context = LocalExecutor()._context\n"
        "    start_server()\n"
        "    code = 'import os, sys; from harness.execution import plugins; print(plugins._loaded is not None,'\n"
        '    code += \' sys.modules["harness_rfs"].__file__, os.environ.get("PYTHONSAFEPATH"), flush=True)\'\n'
        "    worker = context.Process(target=exec, args=(code,))\n"
        "    worker.start(), worker.join()\n"
    )
    command = [sys.executable, str(tmp_path / "bench.py")]
    found = subprocess.run(command, cwd=tmp_path / "here", capture_output=True, text=True, check=True)
    import harness_rfs

    assert found.stdout.split() == ["True", harness_rfs.__file__, "None"], found.stderr


SINCE = """
import sys
from harness.execution import plugins
plugins.load()
kept = plugins.catalogue()
same = plugins.catalogue() is kept
sys.path.append(sys.argv[1])
print(same, "crash" in kept.methods, "crash" in plugins.catalogue().methods)
"""


def test_a_worker_finds_what_was_installed_since_its_server_began(tmp_path):
    install_method(tmp_path, "pass")
    command = [sys.executable, "-c", SINCE, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True False True\n"
