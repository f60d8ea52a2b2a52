"""Real processes that train together."""

import os
import socket
import subprocess
import sys

COMPILATION = {
    **{
        name: os.environ[name]
        for name in os.environ
        if name.startswith(("JAX_COMPILATION_", "JAX_PERSISTENT_"))
    },
    "XLA_FLAGS": " ".join(flag for flag in os.environ["XLA_FLAGS"].split() if "device_count" not in flag),
}
"""Variables with which a process of one device compiles as tests do, and nothing twice: see conftest.py."""


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def train_in_two_processes_and_one(tmp_path, arguments):
    """Runs ``laya train`` to the run directories "two" and "one": what the three processes print."""
    folder = str(tmp_path)
    environment = {
        **COMPILATION,
        "JAX_PLATFORMS": "cpu",
        "PATH": "",
        "XDG_CACHE_HOME": folder,
        "HOME": folder,
    }

    def laya(run, *more):
        return subprocess.Popen(
            [sys.executable, "-m", "laya_jax", "train", *arguments, "--run-dir", str(tmp_path / run), *more],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    several = ["--coordinator", f"localhost:{free_port()}", "--processes", "2", "--process"]
    processes = [laya("two", *several, "0"), laya("two", *several, "1"), laya("one")]
    try:
        outputs = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    return outputs
