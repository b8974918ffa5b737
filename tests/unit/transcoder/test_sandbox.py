"""The walls, as commands."""

from pathlib import Path

from services.transcoder.sandbox import Limits, Sandbox, environment

ALL = Sandbox("/usr/bin/setpriv", "/usr/bin/prlimit", "/usr/bin/bwrap")
WORK = Path("/data/work/1")
INPUT = WORK / "input"


def test_bubblewrap_shows_only_what_is_needed() -> None:
    command = ALL.wrap(["/usr/bin/ffmpeg", "-i", "x"], workdir=WORK, reads=[INPUT], limits=Limits(1 << 30, 1000, 60))
    text = " ".join(command)

    assert text.startswith("/usr/bin/prlimit --core=0 --as=1073741824 --fsize=1000 --cpu=60 -- /usr/bin/bwrap ")
    assert text.endswith(" -- /usr/bin/ffmpeg -i x")
    assert "--unshare-all --die-with-parent --as-pid-1" in text
    assert "--bind /data/work/1 /data/work/1 --ro-bind /data/work/1/input /data/work/1/input --remount-ro /" in text
    writable = [command[number + 1] for number, word in enumerate(command) if word in ("--bind", "--dev-bind")]
    assert writable == [str(WORK)]
    shown = [command[number + 1] for number, word in enumerate(command) if word.startswith("--ro-bind")]
    assert not [path for path in shown if path in ("/", "/etc", "/home", "/root", "/data", "/proc")]
    assert "/dev/dri" not in text


def test_hardware_gets_its_devices() -> None:
    text = " ".join(ALL.wrap(["x"], workdir=WORK, devices=True))

    assert "--dev-bind-try /dev/dri /dev/dri" in text
    assert "--as=" not in text


def test_without_bubblewrap_the_kernel_still_ends_it_with_us() -> None:
    command = Sandbox("/usr/bin/setpriv", "/usr/bin/prlimit").wrap(["x"], workdir=WORK, limits=Limits(None))

    assert command == ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--", "/usr/bin/prlimit", "--core=0", "--", "x"]


def test_without_anything_it_still_runs() -> None:
    assert Sandbox().wrap(["x", "y"], workdir=WORK) == ["x", "y"]
    assert Sandbox().kind == "none"


def test_no_secret_goes_in() -> None:
    ours = {"S3_SECRET_KEY": "s", "AMQP_URL": "amqp://u:p@h", "PATH": "/bin", "LD_LIBRARY_PATH": "/opt/lib"}

    assert environment(WORK, ours) == {
        "LD_LIBRARY_PATH": "/opt/lib",
        "PATH": "/bin",
        "HOME": "/data/work/1",
        "TMPDIR": "/data/work/1",
        "LC_ALL": "C.UTF-8",
        "AV_LOG_FORCE_NOCOLOR": "1",
    }
