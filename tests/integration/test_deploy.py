"""The container and the Kubernetes Job of docs/deploy: neither is built here, what they name is real all the same."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from segsync.commands import next_steps
from segsync.secret_files import SUFFIX
from segsync.settings import Settings
from tests.support import guides
from tests.support.program import DEFAULTS, VARIABLES, complaint

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
JOB_TEXT = (DEPLOY / "kubernetes-job.yaml").read_text(encoding="utf-8")

INSTRUCTIONS = [
    tuple(line.split(maxsplit=1))
    for line in re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
    if line
]


def arguments_of(instruction: str) -> list[str]:
    return [arguments for name, arguments in INSTRUCTIONS if name == instruction]


def copied() -> list[str]:
    """The files of the checkout that end up in the image."""
    sources = [words[:-1] for words in map(shlex.split, arguments_of("COPY")) if not words[0].startswith("--from")]
    return [source for words in sources for source in words]


@pytest.fixture
def volume() -> Any:
    return next(yaml.safe_load_all(JOB_TEXT))


@pytest.fixture
def job() -> Any:
    return list(yaml.safe_load_all(JOB_TEXT))[1]["spec"]


@pytest.fixture
def pod(job: Any) -> Any:
    return job["template"]["spec"]


@pytest.fixture
def container(pod: Any) -> Any:
    [container] = pod["containers"]
    return container


def test_the_files_say_first_that_nobody_has_built_them() -> None:
    assert "not built in CI" in DOCKERFILE[:300]
    assert "not applied to a cluster in CI" in JOB_TEXT[:300]


def test_the_image_takes_nothing_but_the_package_and_what_builds_it() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert rules[0] == "*"
    assert sorted(copied()) == sorted(allowed)
    assert all((ROOT / name).exists() for name in allowed)
    for private in (".env", "segsync.db", "profiles-without-identifier.txt", "segsync-sandbox", ".git"):
        assert not any(fnmatch(private, name) for name in allowed)


def test_the_image_has_all_that_the_package_is_built_from() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r'^(?:readme|license-files) = \[?"([^"]+)"|packages = \["([^"]+)"\]', project, re.MULTILINE)
    assert {one or other for one, other in named} | {"pyproject.toml"} == set(copied())


def test_the_image_resumes_asks_nothing_and_is_not_root() -> None:
    [program], arguments = (json.loads(*arguments_of(name)) for name in ("ENTRYPOINT", "CMD"))
    assert program == "segsync"
    assert {"--resume", "--no-input"} <= set(arguments)
    assert complaint(arguments) == ""
    [user] = arguments_of("USER")
    assert all(int(number) > 0 for number in user.split(":"))
    assert all("slim" in image for image in arguments_of("FROM"))


def test_the_ledger_is_on_the_volume_and_the_volume_is_the_users() -> None:
    [directory], [volume] = arguments_of("WORKDIR")[1:], arguments_of("VOLUME")
    [user] = arguments_of("USER")
    owner, group = user.split(":")
    assert directory == volume
    assert f"install -d -o {owner} -g {group} -m 700 {volume}" in arguments_of("RUN")
    assert not Path(DEFAULTS["SEGSYNC_LEDGER"]).is_absolute()


def test_the_job_runs_the_image_as_it_is_meant(job: Any, pod: Any, container: Any) -> None:
    assert complaint(container["args"]) == ""
    assert {"--resume", "--no-input"} <= set(container["args"])
    [user] = arguments_of("USER")
    security = pod["securityContext"]
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == user
    assert security["runAsNonRoot"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert {"requests", "limits"} <= set(container["resources"])
    assert (job["parallelism"], job["completions"]) == (1, 1)  # one run a ledger


def test_the_job_keeps_the_ledger_and_reads_the_settings_from_a_secret(volume: Any, pod: Any, container: Any) -> None:
    [claimed] = [where for where in pod["volumes"] if "persistentVolumeClaim" in where]
    assert volume["kind"] == "PersistentVolumeClaim"
    assert claimed["persistentVolumeClaim"]["claimName"] == volume["metadata"]["name"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert [mounted[claimed["name"]]] == arguments_of("VOLUME")
    assert f"generic {container['envFrom'][0]['secretRef']['name']} --from-env-file=.env" in JOB_TEXT
    named = {entry["name"] for entry in container.get("env", ())} | set(re.findall(r"SEGSYNC_[A-Z_]+", JOB_TEXT))
    assert named <= VARIABLES


def test_the_secret_of_the_job_can_be_mounted_as_the_guide_shows(pod: Any, container: Any) -> None:
    [example] = guides.blocks(guides.section(guides.OPERATORS, "Secrets as files"), "yaml")
    shown = yaml.safe_load(example)
    secret = container["envFrom"][0]["secretRef"]["name"]
    [volume], [mount], [space, *files] = shown["volumes"], shown["volumeMounts"], shown["env"]
    assert (volume["name"], volume["secret"]["secretName"]) == (mount["name"], secret)
    assert volume["secret"]["defaultMode"] & 0o040, "its group may read it, which the pod's is"
    assert pod["securityContext"]["fsGroup"]
    assert space["valueFrom"]["secretKeyRef"] == {"name": secret, "key": space["name"]}
    required = {entry.metadata["variable"] for entry in fields(Settings) if entry.metadata["needed_by"]}
    assert {space["name"], *(Path(entry["value"]).name for entry in files)} == required
    for entry in files:
        assert entry["name"] == Path(entry["value"]).name + SUFFIX
        assert str(Path(entry["value"]).parent) == mount["mountPath"]


def test_the_job_ends_where_to_begin_again_cannot_help(job: Any, pod: Any, container: Any) -> None:
    """A restarted container would find an import that is done, rejections or not, and exit 0."""
    final, disruption = job["podFailurePolicy"]["rules"]
    assert final["action"] == "FailJob"
    assert final["onExitCodes"]["containerName"] == container["name"]
    assert sorted(final["onExitCodes"]["values"]) == [next_steps.EXIT_USAGE, next_steps.EXIT_REJECTED]
    assert disruption == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert pod["restartPolicy"] == "Never"  # Kubernetes allows no podFailurePolicy with OnFailure
    assert job["podReplacementPolicy"] == "Failed"
    assert 0 < job["backoffLimit"] < 100


def test_the_pod_has_the_time_to_finish_what_is_under_way(pod: Any) -> None:
    a_rate_limit_and_a_time_out = 60 + 30
    assert pod["terminationGracePeriodSeconds"] >= DEFAULTS["SEGSYNC_RETRY_SECONDS"] + a_rate_limit_and_a_time_out
