"""A team on one machine: PostgreSQL, S3 and MLflow on loopback, two clones, one training on both. `make team-demo` runs it.

Brings everything up in a temporary folder, prints what it showed, and takes all down. Needs Debian's `postgresql` (or PostgreSQL's programs
on the PATH) and, in this Python, the packages that `NEEDED` lists. Exit code 3 names what is missing, 1 says which step failed.
"""

from __future__ import annotations

import argparse
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import yaml

NEEDED = {"psycopg2": "psycopg2-binary", "boto3": "boto3", "dvc_s3": "dvc-s3", "mlflow": "mlflow"}
SERVER = "moto_server"
SMALL = {
    "mini": {"coco_train_images": 60, "coco_val_images": 16, "mpii_train_images": 20, "mpii_val_images": 8, "posetrack_train_videos": 1,
             "posetrack_val_videos": 2, "posetrack_frames": 6, "posetrack_val_frames": [6, 6]},
    "train": {"epochs": 3, "validate_every": 1},
    "score": {"bootstrap": 50},
    "validate": {"html": False},
    "report": {"images": 3},
}  # fmt: skip
"""A project whose whole pipeline takes two or three minutes on two cores."""


class StepError(Exception):
    """A step of the demonstration failed."""


def main() -> int:
    """Run the demonstration; its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave the temporary folder")
    options = parser.parse_args()
    missing = find_missing()
    if missing:
        print(f"error: team-demo: missing: {'; '.join(missing)}.", file=sys.stderr)
        return 3
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the services are taken down all the same
    folder = Path(tempfile.mkdtemp(prefix="poseline-team-"))
    try:
        with ExitStack() as stack:
            show(Team(folder, start_services(folder, stack)))
    except StepError as error:
        print(f"error: team-demo: {error}\nIts folder stays: {folder}", file=sys.stderr)
        return 1
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def find_missing() -> list[str]:
    """What has to be installed first, each with how."""
    packages = [package for module, package in NEEDED.items() if find_spec(module) is None]
    found = [f"Python packages {', '.join(packages)} (pip install {' '.join(packages)})"] if packages else []
    if shutil.which(os.environ.get("MOTO", SERVER)) is None:
        found.append(f"{SERVER} (pip install 'moto[server,s3]', best into an environment of its own, and name it in MOTO)")
    if postgres("initdb") is None:
        found.append("PostgreSQL (Debian: apt-get install postgresql)")
    return found


def postgres(program: str) -> str | None:
    """The path of one of PostgreSQL's programs; Debian keeps them off the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return shutil.which(program) or next((str(folder / program) for folder in reversed(folders) if (folder / program).is_file()), None)


# ---- services


def start_services(folder: Path, stack: ExitStack) -> dict[str, str]:
    """Start all three until the stack ends; the environment with which a project uses them."""
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "us-east-1"}
    database, s3, server = free_port(), free_port(), free_port()
    stack.enter_context(running_postgres(folder / "postgres", database))
    endpoint = f"http://127.0.0.1:{s3}"
    stack.enter_context(running([os.environ.get("MOTO", SERVER), "-H", "127.0.0.1", "-p", str(s3)], folder / "s3.log", {}))
    wait_for(endpoint, folder / "s3.log")
    for bucket in ("mlflow", "dvc"):
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{bucket}", method="PUT"), timeout=10).close()
    words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(server), "--workers", "1"]
    words += ["--artifacts-destination", "s3://mlflow", "--backend-store-uri", f"postgresql+psycopg2://mlflow@127.0.0.1:{database}/mlflow"]
    own = {**keys, "MLFLOW_S3_ENDPOINT_URL": endpoint, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    stack.enter_context(running(words, folder / "mlflow.log", own))
    address = f"http://127.0.0.1:{server}"
    wait_for(f"{address}/health", folder / "mlflow.log")
    return {**keys, "MLFLOW_TRACKING_URI": address, "S3": endpoint}


@contextmanager
def running_postgres(folder: Path, port: int) -> Iterator[None]:
    """A database server with an empty database `mlflow`. It refuses to run as root: then it runs as the user postgres."""
    user: dict[str, object] = {}
    folder.mkdir()
    if os.getuid() == 0:
        account = pwd.getpwnam("postgres")
        for path in (folder.parent, folder):
            os.chmod(path, 0o755)  # noqa: PTH101
        os.chown(folder, account.pw_uid, account.pw_gid)
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    def call(*words: str) -> None:
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder, **user)  # type: ignore[call-overload]
        if done.returncode:
            raise StepError(f"{Path(words[0]).name}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")

    call(str(postgres("initdb")), "-D", str(folder / "data"), "-A", "trust", "-U", "mlflow")
    control = [str(postgres("pg_ctl")), "-D", str(folder / "data")]
    call(*control, "-o", f"-p {port} -k {folder} -h 127.0.0.1", "-l", str(folder / "log"), "-w", "start")
    try:
        call(str(postgres("createdb")), "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow", "mlflow")
        yield
    finally:
        call(*control, "-m", "immediate", "stop")


@contextmanager
def running(words: Sequence[str], log: Path, environment: dict[str, str]) -> Iterator[None]:
    """A server in a session of its own, which ends with the block."""
    with log.open("wb") as stream:
        process = subprocess.Popen(words, stdout=stream, stderr=stream, env={**os.environ, **environment}, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)


def wait_for(address: str, log: Path, seconds: float = 120) -> None:
    """Return when an address answers."""
    end = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(address, timeout=2).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > end:
                raise StepError(f"{address} does not answer: {log.read_text(errors='replace')[-300:]}") from None
            time.sleep(0.3)
        else:
            return


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


# ---- the team


@dataclass
class Team:
    """Two clones of one project, and what they need to find the services."""

    folder: Path
    services: dict[str, str]
    lines: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """Of every command."""
        person = {"NAME": "Demo", "EMAIL": "demo@localhost"}
        named = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in person.items()}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, **self.services, **named, "PATH": path, "DVC_NO_ANALYTICS": "1", "POSELINE_PROGRESS": "off"}

    def start(self, where: str, *words: str) -> subprocess.Popen[str]:
        """A command in one of the clones, or beside them; dvc and poseline are those of this Python."""
        own = {"dvc": [sys.executable, "-m", "dvc"], "poseline": [sys.executable, "-m", "poseline.cli"]}
        command = [*own.get(words[0], [words[0]]), *words[1:]]
        return subprocess.Popen(
            command, cwd=self.folder / where, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )  # fmt: skip

    def run(self, where: str, *words: str, accept: Sequence[int] = (0,)) -> str:
        """What a command says.

        Raises:
            StepError: it ended with another status than those.
        """
        process = self.start(where, *words)
        try:
            said, _ = process.communicate(timeout=1800)
        finally:
            process.kill()  # nothing where it has ended
        if process.returncode not in accept:
            raise StepError(f"`{' '.join(words)}` in {where} ended with {process.returncode}:\n{said[-2000:]}")
        return said

    def step(self, what: str, work: Callable[[], str]) -> None:
        """A step: its time and what it showed."""
        started = time.monotonic()
        shown = work()
        print(f"{time.monotonic() - started:6.1f} s  {what}: {shown}", flush=True)


def show(team: Team) -> None:
    """The whole demonstration."""
    team.step("first clone, `poseline new --from mini`", lambda: make_project(team))
    team.step("`dvc repro`", lambda: scores_of(team.run("n0", "dvc", "repro")))
    team.step("baseline, `dvc push`, `git push`", lambda: share(team))
    team.step("second clone, `dvc pull`", lambda: clone(team))
    team.step("`dvc repro` there", lambda: second_repro(team))
    team.step("`poseline promote`", lambda: last_line(team.run("n0", "poseline", "promote")))
    team.step("one training on both", lambda: train_on_both(team))
    against = ("poseline", "gate", "--against", "champion")
    team.step(f"`{' '.join(against)}`", lambda: last_line(team.run("n0", *against, accept=(0, 1))))
    team.step("the champion scored in the second clone", lambda: score_champion(team))
    team.step("the store", lambda: count_runs(team))


def make_project(team: Team) -> str:
    """A small project with its origin and its remote."""
    team.run(".", "git", "init", "--quiet", "--bare", "-b", "main", "origin.git")
    team.run(".", "poseline", "new", "n0", "--from", "mini")
    file = team.folder / "n0/params.yaml"
    params = yaml.safe_load(file.read_text(encoding="utf-8"))
    for section, values in SMALL.items():
        params[section].update(values)
    file.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    team.run("n0", "dvc", "remote", "add", "--force", "-d", "store", "s3://dvc/project")
    team.run("n0", "dvc", "remote", "modify", "store", "endpointurl", team.services["S3"])
    team.run("n0", "git", "add", "-A")
    team.run("n0", "git", "commit", "--quiet", "-m", "A small project")
    team.run("n0", "git", "remote", "add", "origin", str(team.folder / "origin.git"))
    return "git, DVC and a remote on S3"


def share(team: Team) -> str:
    """The first results as the baseline, for all."""
    team.run("n0", "poseline", "gate", "--accept", accept=(0, 1))
    team.run("n0", "git", "add", "-A")
    team.run("n0", "git", "commit", "--quiet", "-m", "Results, and the baseline")
    said = last_line(team.run("n0", "dvc", "push", "--run-cache"))
    team.run("n0", "git", "push", "--quiet", "origin", "HEAD:main")
    return said


def clone(team: Team) -> str:
    """A second machine."""
    team.run(".", "git", "clone", "--quiet", "-b", "main", "origin.git", "n1")
    return last_line(team.run("n1", "dvc", "pull"))


def second_repro(team: Team) -> str:
    """Nothing runs again there but the check of the code."""
    said = team.run("n1", "dvc", "repro")
    ran = [name for name in re.findall(r"Running stage '([^']+)'", said) if name != "code"]
    if ran:
        raise StepError(f"`dvc repro` in n1 ran {', '.join(ran)} again")
    return "nothing runs again"


def train_on_both(team: Team) -> str:
    """An experiment in the first clone, which the second joins."""
    address, model = f"127.0.0.1:{free_port()}", team.folder / "n1/data/model/model.safetensors"
    before = model.read_bytes()
    others = ["--set", "train.epochs=4", "--set", "train.batch_size=8"]
    joining = team.start("n1", "poseline", "join", address, "--wait", "10m", *others)
    changes = ["train.epochs=4", "train.batch_size=8", "train.nodes=2", f"train.rendezvous={address}"]
    try:
        said = team.run("n0", "dvc", "exp", "run", "-n", "two-nodes", *(word for one in changes for word in ("-S", one)))
        told, _ = joining.communicate(timeout=120)
    finally:
        joining.kill()
    if joining.returncode:
        raise StepError(f"`poseline join` ended with {joining.returncode}:\n{told[-1000:]}")
    if model.read_bytes() != before:
        raise StepError("the node that joined wrote a model")
    epochs = re.findall(r"^epoch 4/4 .*$", said, flags=re.MULTILINE)
    return f"{last_line(told)}; {epochs[-1] if epochs else scores_of(said)}"


def score_champion(team: Team) -> str:
    """The champion, fetched from the store, on the data of the second clone."""
    said = team.run("n1", "poseline", "score", "coco", "--model", "models:/poseline@champion", "--out", "champion")
    return next((line.strip() for line in said.splitlines() if re.match(r"\s*ap\b", line, flags=re.IGNORECASE)), last_line(said))


def count_runs(team: Team) -> str:
    """What the experiment store has."""
    code = """
from mlflow import MlflowClient
client = MlflowClient()
runs = [run for experiment in client.search_experiments() for run in client.search_runs([experiment.experiment_id])]
tags = [run.data.tags for run in runs]
rows, trained = (sum(one.get(key) == value for one in tags) for key, value in (("poseline.role", "parent"), ("dvc.stage", "train")))
print(len(runs), rows, sum(run.info.status == "RUNNING" for run in runs), trained)
"""
    for folder in ("n0", "n1"):
        team.run(folder, "poseline", "sync")  # what is still on its way
    total, rows, alive, trained = map(int, last_line(team.run("n0", sys.executable, "-c", code)).split())
    if alive:
        raise StepError(f"{alive} runs of the store are RUNNING though nothing runs")
    return f"{rows} experiments, {total} runs, of which {trained} of train, none left RUNNING"


def scores_of(said: str) -> str:
    """The lines of the scores among what `dvc repro` said, in one."""
    lines = re.findall(r"^score@(\w+): .*?\b((?:ap|mota|pckh|map) [\d.]+)", said, flags=re.MULTILINE)
    return ", ".join(f"{name} {value}" for name, value in lines) or last_line(said)


def last_line(said: str) -> str:
    """The last line that is not empty."""
    return next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "")


if __name__ == "__main__":
    sys.exit(main())
