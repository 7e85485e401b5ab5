"""The files in docker/: valid by their published schemas, and closed to whoever has no token."""

import importlib.metadata
import json
import re
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import compose_spec
import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
FILES = sorted(file for file in DOCKER.iterdir() if file.is_file())
SCRIPTS = Path(sysconfig.get_path("scripts"))
KUBERNETES = "1.33"


def read(name: str) -> str:
    return (DOCKER / name).read_text()


def compose() -> dict[str, Any]:
    return yaml.safe_load(read("compose.yaml"))


def cluster() -> dict[str, Any]:
    return yaml.safe_load(read("ray-cluster.yaml"))


def kuberay() -> dict[str, dict[str, Any]]:
    return {document["kind"]: document for document in yaml.safe_load_all(read("kuberay.yaml"))}


def pods() -> dict[str, dict[str, Any]]:
    """The pods that kuberay.yaml makes, by the role each has."""
    job = kuberay()["RayJob"]["spec"]
    ray = job["rayClusterSpec"]
    return {
        "submitter": job["submitterPodTemplate"],
        "head": ray["headGroupSpec"]["template"],
        **{group["groupName"]: group["template"] for group in ray["workerGroupSpecs"]},
    }


def ray_services() -> dict[str, dict[str, Any]]:
    """The services of compose.yaml that are nodes of the cluster or speak to it."""
    return {
        name: service for name, service in compose()["services"].items() if name in ("ray-head", "ray-worker", "search")
    }


def images() -> Iterator[str]:
    """Every image that a file in docker/ names, base images included."""
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", read("Dockerfile"), re.MULTILINE))
    yield from (base for base in re.findall(r"^FROM (\S+)", read("Dockerfile"), re.MULTILINE) if base not in stages)
    yield from (service["image"] for service in compose()["services"].values())
    yield cluster()["docker"]["image"]
    yield from (container["image"] for pod in pods().values() for container in pod["spec"]["containers"])


def lint(*command: str) -> None:
    done = subprocess.run([SCRIPTS / command[0], *command[1:]], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_passes_its_linter() -> None:
    lint("hadolint", str(DOCKER / "Dockerfile"))


def test_the_slurm_script_passes_its_linter() -> None:
    lint("shellcheck", str(DOCKER / "slurm.sbatch"))


def test_compose_follows_its_schema() -> None:
    composed = compose_spec.PyCompose.from_json(json.dumps(compose()))  # the YAML merged: `<<` is not in JSON
    assert {"postgres", "ray-head", "ray-worker", "optuna-dashboard", "search"} == set(composed.service_names())
    wrong = compose()
    wrong["services"]["ray-head"]["comand"] = "ray"
    with pytest.raises(ValueError, match="comand"):
        compose_spec.PyCompose.from_json(json.dumps(wrong))


def test_compose_depends_and_mounts_what_it_defines() -> None:
    composed = compose()
    for name, service in composed["services"].items():
        assert set(service.get("secrets", [])) <= set(composed["secrets"]), name
        assert {volume.partition(":")[0] for volume in service.get("volumes", [])} <= set(composed["volumes"]), name
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy"
            assert "test" in composed["services"][other]["healthcheck"], other


def test_the_ray_cluster_follows_rays_schema() -> None:
    validate_config(prepare_config(cluster()))
    with pytest.raises(Exception, match="max_wrkers"):
        validate_config(prepare_config(cluster() | {"max_wrkers": 1}))


def test_the_ray_cluster_grows_from_nothing_with_spot_nodes() -> None:
    types = {name: kind for name, kind in cluster()["available_node_types"].items() if name != "head"}
    assert all(kind["min_workers"] == 0 and kind["resources"]["GPU"] for kind in types.values())
    spot = {name for name, kind in types.items() if "InstanceMarketOptions" in kind["node_config"]}
    assert 0 < len(spot) < len(types)


@pytest.mark.parametrize("kind", ["PersistentVolumeClaim", "NetworkPolicy"])
def test_kubernetes_objects_follow_their_schema(kind: str) -> None:
    kubernetes_validate.validate(kuberay()[kind], KUBERNETES, strict=True)


@pytest.mark.parametrize("role", pods())
def test_the_pods_of_the_ray_job_follow_their_schema(role: str) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", **pods()[role]}
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)
    pod["spec"]["containers"][0]["imag"] = "scaler"
    with pytest.raises(kubernetes_validate.ValidationError, match="imag"):
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_a_ray_job_mounts_the_claim_and_stays_within_its_policy() -> None:
    documents = kuberay()
    assert set(documents) == {"PersistentVolumeClaim", "NetworkPolicy", "RayJob"}
    claim = documents["PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    selected = documents["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items()
    for role, pod in pods().items():
        assert selected <= pod["metadata"]["labels"].items(), role
        mounted = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        for mount in pod["spec"]["containers"][0].get("volumeMounts", []):
            assert mount["name"] in mounted
        if role != "submitter":
            assert mounted["scaler"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_the_ray_job_runs_a_ray_that_scaler_takes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ray = next(wanted for wanted in map(Requirement, project["dependencies"]) if wanted.name == "ray")
    version = Version(kuberay()["RayJob"]["spec"]["rayClusterSpec"]["rayVersion"])
    assert version in ray.specifier
    assert version >= Version("2.53")  # from where on KubeRay's probes need no wget in the image


def test_every_image_is_pinned_to_a_full_version() -> None:
    found = list(images())
    assert len(found) > 8
    for image in found:
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+(\.\d+)?(-\w+)*", image), image
    version = importlib.metadata.version("scaler-nas")
    assert {image.rpartition(":")[2].partition("-")[0] for image in found if "scaler" in image} == {version}


def test_no_port_is_published_beyond_loopback() -> None:
    published = [port for service in compose()["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert "network_mode" not in read("compose.yaml")
    (head_start,) = (line for line in cluster()["head_start_ray_commands"] if "ray start" in line)
    assert "--dashboard-host=127.0.0.1" in head_start
    assert "--include-dashboard=false" in read("slurm.sbatch")
    assert kuberay()["RayJob"]["spec"]["rayClusterSpec"]["headGroupSpec"]["serviceType"] == "ClusterIP"


def test_every_node_asks_for_the_token() -> None:
    assert re.search(r"^ENV .*\bRAY_AUTH_MODE=token\b", read("Dockerfile"), re.MULTILINE)
    services = ray_services()
    assert len(services) == 3
    for name, service in services.items():
        assert service["environment"]["RAY_AUTH_MODE"] == "token", name
        assert service["environment"]["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray_token", name
        assert "ray_token" in service["secrets"], name
    assert "--env=RAY_AUTH_MODE=token" in cluster()["docker"]["run_options"]
    assert "/home/ray/.ray/auth_token" in cluster()["file_mounts"]
    options = kuberay()["RayJob"]["spec"]["rayClusterSpec"]["authOptions"]
    assert options == {"mode": "token", "secretName": "scaler-ray-token"}
    script = read("slurm.sbatch")
    assert script.index("umask 077") < script.index("mktemp") < script.index("export RAY_AUTH_MODE=token")


def test_the_driver_alone_knows_the_database() -> None:
    knowing = {
        name
        for name, service in compose()["services"].items()
        if "SCALER_STORAGE" in service.get("environment", {}) or "pgpass" in service.get("secrets", [])
    }
    assert knowing == {"ray-head", "optuna-dashboard"}
    named = {
        role
        for role, pod in pods().items()
        if any(entry["name"] == "SCALER_STORAGE" for entry in pod["spec"]["containers"][0].get("env", []))
    }
    assert named == {"head"}


def test_nothing_runs_as_root() -> None:
    users = re.findall(r"^USER (\S+)|^FROM (\S+) AS (\S+)", read("Dockerfile"), re.MULTILINE)
    final = {stage for _, base, stage in users if base == "node"}
    assert final == {"cpu", "cuda"}
    assert [user for user, _, _ in users if user] == ["$UID"]
    assert re.findall(r"^ARG UID=(\d+)", read("Dockerfile"), re.MULTILINE) == ["1000"]
    for service in compose()["services"].values():
        assert "user" not in service
        assert not service.get("privileged")
    for role, pod in pods().items():
        assert pod["spec"]["securityContext"]["runAsNonRoot"], role
        for container in pod["spec"]["containers"]:
            assert not container["securityContext"]["allowPrivilegeEscalation"], role


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_file_holds_a_secret(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"://[^/\s:@\"']+:(?!PASSWORD@)[^@\s\"']+@", text), "a URL with a password"
    assert not re.search(r"\b[0-9a-fA-F]{32,}\b", text), "a token"
    for name, value in re.findall(r"\b(\w*(?:PASSWORD|TOKEN|SECRET)\w*)\s*[:=]\s*(\S+)", text):
        assert name.endswith(("_FILE", "_PATH")), name
        assert value.startswith(("/run/secrets/", "$")), value


def test_secrets_are_files_that_git_ignores() -> None:
    assert {secret["file"].partition("/")[0] for secret in compose()["secrets"].values()} == {"secrets"}
    assert "docker/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
