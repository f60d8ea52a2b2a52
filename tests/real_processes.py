"""Real processes that train together."""

import socket
import subprocess
import sys


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def train_in_two_processes_and_one(tmp_path, arguments):
    """Runs ``laya train`` to the run directories "two" and "one": what the three processes print."""
    environment = {"JAX_PLATFORMS": "cpu", "PATH": "", "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}

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
