"""What an engine, which decodes strangers' files, has and has not."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from inkmill.confinement import libseccomp
from inkmill.settings import Settings
from inkmill.worker.pool.environment import engine_environment

SECRETS = {
    **Settings(redis_url="redis://:hunter2@redis").environment(),
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "AZURE_CLIENT_SECRET": "hunter2",
    "DATABASE_URL": "postgres://me:hunter2@db",
    "GITHUB_TOKEN": "hunter2",
    "GOOGLE_APPLICATION_CREDENTIALS": "/hunter2",
    "HTTPS_PROXY": "http://me:hunter2@proxy",
    "KUBERNETES_SERVICE_HOST": "hunter2",
    "MY_PASSWORD": "hunter2",
    "REDIS_PASSWORD": "hunter2",
    "SSH_AUTH_SOCK": "/hunter2",
    "SSL_CERT_FILE": "/hunter2",
    "VAULT_TOKEN": "hunter2",
}
NEEDED = {
    "CUDA_VISIBLE_DEVICES": "0",
    "HOME": "/home/ink",
    "KMP_AFFINITY": "none",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "LD_LIBRARY_PATH": "/opt/lib",
    "NVIDIA_VISIBLE_DEVICES": "all",
    "PATH": "/usr/bin",
    "PYTHONPATH": "/srv",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TMPDIR": "/scratch",
    "TZ": "Europe/Berlin",
}


def test_an_engine_gets_what_is_known_to_be_needed_and_nothing_else() -> None:
    made = engine_environment({**SECRETS, **NEEDED, "OMP_NUM_THREADS": "64"}, 3)
    of_threads = {"OMP_NUM_THREADS": "3", "TF_CPP_MIN_LOG_LEVEL": "2"}
    assert made == {**NEEDED, **of_threads, "CUDA_VISIBLE_DEVICES": ""}


def test_a_log_level_of_tensorflow_stays() -> None:
    assert engine_environment({"TF_CPP_MIN_LOG_LEVEL": "0"}, 1)["TF_CPP_MIN_LOG_LEVEL"] == "0"


_REPORT = """
import json, os, resource, signal, socket, subprocess, sys
from inkmill.worker.confinement import confine, die_before_and_with_the_worker
confine()
die_before_and_with_the_worker()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
def refused(what):
    try:
        what()
    except PermissionError:
        return True
    return False

print(json.dumps({
    "privileges": status["NoNewPrivs"].strip(),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "file": resource.getrlimit(resource.RLIMIT_FSIZE),
    "filtered": status["Seccomp"].strip(),
    "sockets": [refused(lambda: socket.socket(each)) for each in (
        socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET)],
    "pair": refused(socket.socketpair),
    "kill": [refused(lambda: os.kill(each, 0)) for each in (os.getppid(), os.getpid())],
    "raise": refused(lambda: signal.raise_signal(signal.SIGCHLD)),
    "child": "NoNewPrivs:\\t1" in subprocess.check_output(["cat", "/proc/self/status"], text=True),
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_an_engine_gives_up_what_it_does_not_need() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _REPORT], capture_output=True, text=True, check=True, timeout=60
    )
    found = json.loads(done.stdout)
    assert found["core"] == [0, 0]
    assert found["file"] == [16 * 2**30] * 2
    assert (found["privileges"], found["child"]) == ("1", True)
    if libseccomp() is None:
        pytest.skip("the host has no libseccomp: system calls are not filtered")
    assert found["filtered"] == "2"
    assert found["sockets"] == [True] * 4
    assert (found["pair"], found["kill"], found["raise"]) == (False, [True, False], False)


_SECRETS_OF_A_PARENT = """
import ctypes, os, sys
from inkmill.confinement import hide_memory
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1)  # as a process is that was started by this user

def child_reads():
    parent = os.getpid()
    child = os.fork()
    if not child:
        try:
            for name in ("environ", "mem"):
                open(f"/proc/{parent}/{name}", "rb").close()
        except PermissionError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

before = child_reads()
hide_memory()
print(before, child_reads())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_an_engine_cannot_read_the_memory_of_its_worker() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SECRETS_OF_A_PARENT],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    before, after = done.stdout.split()
    if before == "False":
        pytest.skip("this host lets no process read another one's memory")
    assert after == "False"


def test_commands_and_workers_hide_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from inkmill.cli import main
    from inkmill.worker import app

    hidden: list[str] = []
    monkeypatch.setattr(main, "hide_memory", lambda: hidden.append("command"))
    monkeypatch.setattr(app, "hide_memory", lambda: hidden.append("worker"))
    with pytest.raises(SystemExit):
        main.main(["--version"])
    monkeypatch.setattr(app, "Service", lambda *_: (_ for _ in ()).throw(RuntimeError("away")))
    with pytest.raises(SystemExit):
        app._start()
    assert hidden == ["command", "worker"]


def test_a_host_without_libseccomp_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    from inkmill import confinement

    monkeypatch.setattr(confinement, "libseccomp", lambda: None)
    assert confinement.filter_system_calls() is False


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_lower_limit_stays() -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))

    done = subprocess.run(
        [sys.executable, "-c", _REPORT],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        preexec_fn=limited,
    )
    assert json.loads(done.stdout)["file"] == [2**20] * 2


def test_a_running_engine_has_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from inkmill.worker.pool.handle import EngineHandle

    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    engine = EngineHandle(Settings(cache_dir=tmp_path), 1)
    try:
        assert engine.ready.wait(120)
        environment = Path(f"/proc/{engine.pid}/environ")
        if environment.exists():
            assert b"hunter2" not in environment.read_bytes()
            assert os.environ["PATH"].encode() in environment.read_bytes()
    finally:
        engine.close()
