"""What deploy/ has for containers, held to rules and schemas, and to what the code has: settings, ports, probes.

No container, no cluster and no proxy ran: what can be run of it, runs here without them.
"""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import compose_spec
import kubernetes_validate
import pytest
import yaml

import app
from datastore import processes
from datastore.findings import Verdict
from datastore.processes import Program
from datastore.settings import Settings
from realtime import devserver
from realtime.connect import for_requests
from realtime.doctor import RedisDoctor
from schema import start

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
KUBERNETES = ROOT / "deploy" / "kubernetes"
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
MANIFESTS: list[Any] = [
    one
    for path in sorted(KUBERNETES.glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for one in yaml.safe_load_all(path.read_text())
]
# The oldest that still gets corrections: what it takes, later ones do, since all of these kinds are stable.
VERSION = "1.34"


def named(kind: str) -> dict[str, Any]:
    return {one["metadata"]["name"]: one for one in MANIFESTS if one["kind"] == kind}


def pod_of(one: Any) -> Any:
    spec = one["spec"]["jobTemplate"]["spec"] if one["kind"] == "CronJob" else one["spec"]
    return spec["template"]


PODS = [pod_of(one) for one in MANIFESTS if one["kind"] in ("Deployment", "CronJob")]


def hadolint(text: str) -> str:
    """What hadolint complains about."""
    command = [str(Path(sys.executable).parent / "hadolint"), "--no-color", "-"]
    told = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    return told.stdout


def stages() -> list[list[str]]:
    """The instructions of each stage, continuation lines joined."""
    lines = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
    found: list[list[str]] = []
    for line in filter(None, lines):
        found += [[]] if line.startswith("FROM ") else []
        found[-1].append(line)
    return found


# ---------------------------------------------------------------- the image


def test_hadolint_has_nothing_to_say_and_would_say_something() -> None:
    assert hadolint(DOCKERFILE) == ""
    assert "DL3025" in hadolint(DOCKERFILE.replace('CMD ["serve"]', "CMD serve"))


def test_the_last_stage_runs_as_nobody_in_particular_and_holds_no_compiler() -> None:
    last = stages()[-1]
    assert re.match(r"FROM python:3\.11-slim", last[0])
    assert not any(re.search(r"\b(apt|apt-get|gcc|npm|pip install)\b", line) for line in last)
    uid = next(line for line in last if line.startswith("USER ")).split()[1]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", uid)
    assert last.index(f"USER {uid}") > max(last.index(line) for line in last if line.startswith(("COPY", "RUN")))


def test_python_itself_gets_the_signal_and_is_asked_how_it_is() -> None:
    by_word = {line.split(" ", 1)[0]: line for line in stages()[-1]}
    assert ast.literal_eval(by_word["ENTRYPOINT"].partition(" ")[2]) == ["python", "-m", "app"]
    assert ast.literal_eval(by_word["CMD"].partition(" ")[2]) == ["serve"]
    asked = re.search(r"CMD (\[.*\])", by_word["HEALTHCHECK"])
    assert asked
    program = ast.literal_eval(asked[1])[2]
    compile(program, "healthcheck", "exec")
    assert f":{Settings.model_fields['port'].default}/healthz" in program


def test_every_package_is_a_wheel_whose_hash_is_known() -> None:
    assert "--require-hashes --only-binary :all: -r /locks/serve.txt" in DOCKERFILE
    lock = (ROOT / "locks" / "serve.txt").read_text()
    assert len(re.findall(r"^\S+==", lock, re.MULTILINE)) <= lock.count("--hash=sha256:")


def test_what_the_image_copies_is_all_that_the_app_needs(tmp_path: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text()
    for line in stages()[-1]:
        if line.startswith("COPY ") and "--from" not in line:
            name = line.split()[1]
            assert f"!{name}\n" in ignored
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, tmp_path / name)
    run = subprocess.run(
        [sys.executable, "-m", "app", "sdl"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == (ROOT / "schema" / "schema.graphql").read_text().strip()


def test_the_web_stage_has_what_the_makefile_builds_from_and_its_results_go_where_the_app_looks() -> None:
    web, last = stages()[0], stages()[-1]
    assert "COPY web web" in web
    assert "COPY schema/schema.graphql schema/schema.graphql" in web
    assert "COPY --from=web /built/web web" in last
    for built in (app.GRAPHIQL, start.Offer(ROOT, False, False).client):
        folder = built.parent.relative_to(ROOT)
        assert folder.parent == Path("web")
        assert (ROOT / folder / "package-lock.json").exists()
    makefile = (ROOT / "Makefile").read_text()
    assert set(re.findall(r"schema/\S+\.graphql", makefile)) <= {"schema/schema.graphql"}


# ---------------------------------------------------------------- settings


def given() -> dict[str, dict[str, str]]:
    """Where environment variables of Perch are set, with their values."""
    found = {
        name: {key: re.sub(r"\$\{(\w+):[-?]([^}]*)\}", r"\2", value) for key, value in service["environment"].items()}
        for name, service in COMPOSE["services"].items()
        if name in ("server", "worker")
    }
    image = next(line for line in stages()[-1] if line.startswith("ENV "))
    found["image"] = dict(re.findall(r"([A-Z_]+)=(\S+)", image))
    found["image"] = {name: value for name, value in found["image"].items() if not name.startswith(("PATH", "PYTHON"))}
    found["kubernetes"] = named("ConfigMap")["perch"]["data"] | named("Secret")["perch"]["stringData"]
    return found


@pytest.mark.parametrize("where", given())
def test_every_variable_is_a_setting(where: str) -> None:
    assert {name.lower() for name in given()[where]} <= set(Settings.model_fields)


@pytest.mark.parametrize("where", ["kubernetes", "server", "worker"])
def test_the_values_make_settings_of_a_production(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (given()["image"] | given()[where] | {"SECRET_KEY": "0123456789abcdef" * 3}).items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.profile == "production"
    assert settings.mongo_url
    assert settings.redis_url
    assert settings.trusted_proxies == (0 if where == "worker" else 1)


# ---------------------------------------------------------------- compose


def test_compose_is_one_by_its_specification_and_nonsense_is_none() -> None:
    # Without the anchors, which YAML resolves.
    assert "server" in compose_spec.PyCompose.from_yaml(yaml.safe_dump(COMPOSE)).service_names()
    with pytest.raises(ValueError, match="imagine"):
        compose_spec.PyCompose.from_yaml("services: {a: {image: b, imagine: 1}}")


def test_compose_has_three_mongods_two_servers_and_two_workers_none_of_them_root() -> None:
    services = COMPOSE["services"]
    assert sum("--replSet" in services[name]["command"] for name in services if re.fullmatch(r"mongo-\d", name)) == 3
    for name in ("server", "worker"):
        assert services[name]["deploy"]["replicas"] == 2
        assert services[name]["read_only"]
        assert services[name]["cap_drop"] == ["ALL"]
    assert services["worker"]["command"] == ["work"]
    volumes = {volume.split(":")[0] for one in services.values() for volume in one.get("volumes", ())}
    assert {volume for volume in volumes if not volume.startswith(".")} == set(COMPOSE["volumes"])
    assert all((ROOT / "deploy" / volume).exists() for volume in volumes if volume.startswith("."))


async def test_the_redis_of_compose_is_one_that_doctor_finds_well(tmp_path: Path) -> None:
    flags = COMPOSE["services"]["redis"]["command"][1:]

    def program(port: int) -> Program:
        command = (devserver._binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), *flags)
        return Program("valkey", command, tmp_path / "valkey.log")

    child, port = await processes.listening(tmp_path, program, devserver._is_ours)
    async with processes.kept(child, None), for_requests(f"redis://127.0.0.1:{port}/0") as client:
        found = await RedisDoctor(client).findings()
    assert len(found) > 5
    assert [one for one in found if one.verdict is not Verdict.OK] == []


# ---------------------------------------------------------------- Kubernetes


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_every_manifest_fits_the_schema_of_its_kind(manifest: Any) -> None:
    kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_a_misspelt_field_would_not_fit() -> None:
    spoilt = named("PodDisruptionBudget")["perch-server"] | {"specs": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(spoilt, VERSION, strict=True)


def test_the_kustomization_names_every_manifest_but_the_example() -> None:
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    files = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml", "secret.example.yaml"}
    assert set(listed) == files


@pytest.mark.parametrize("pod", PODS, ids=lambda pod: pod["spec"]["containers"][0]["name"])
def test_every_pod_keeps_to_the_restricted_standard(pod: Any) -> None:
    spec = pod["spec"]
    assert named("Namespace")["perch"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert spec["securityContext"]["runAsNonRoot"]
    assert f"USER {spec['securityContext']['runAsUser']}:" in DOCKERFILE
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"]
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        mounted = {volume["name"] for volume in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}


@pytest.mark.parametrize("role", ["server", "worker"])
def test_each_role_is_probed_spread_scaled_and_kept_at_two(role: str) -> None:
    deployment, (container,) = (
        named("Deployment")[f"perch-{role}"],
        pod_of(named("Deployment")[f"perch-{role}"])["spec"]["containers"],
    )
    labels = pod_of(deployment)["metadata"]["labels"]
    data = named("ConfigMap")["perch"]["data"]
    assert container["args"] == [{"server": "serve", "worker": "work"}[role]]
    assert container["ports"][0]["containerPort"] == int(data[{"server": "PORT", "worker": "WORK_PORT"}[role]])
    if role == "server":
        assert (
            0
            < container["lifecycle"]["preStop"]["sleep"]["seconds"]
            < pod_of(deployment)["spec"]["terminationGracePeriodSeconds"] / 4
        )
    paths = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/healthz", "readiness": "/readyz", "liveness": "/healthz"}
    spread = pod_of(deployment)["spec"]["topologySpreadConstraints"]
    assert {one["topologyKey"] for one in spread} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    budget = named("PodDisruptionBudget")[f"perch-{role}"]["spec"]
    selectors = [deployment["spec"]["selector"], budget["selector"], *(one["labelSelector"] for one in spread)]
    assert all(selector["matchLabels"] == labels for selector in selectors)
    assert named("Service")[f"perch-{role}s"]["spec"]["selector"] == labels
    scaler = named("HorizontalPodAutoscaler")[f"perch-{role}"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert scaler["minReplicas"] >= 2
    assert {"cpu", "memory"} <= {one.get("resource", {}).get("name") for one in scaler["metrics"]}


def test_workers_scale_by_what_waits_and_no_further_than_there_are_partitions() -> None:
    spec = named("HorizontalPodAutoscaler")["perch-worker"]["spec"]
    assert spec["maxReplicas"] == int(named("ConfigMap")["perch"]["data"]["PARTITIONS"])
    external = [one["external"]["metric"]["name"] for one in spec["metrics"] if one["type"] == "External"]
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "adapter-rule.yaml").read_text())["rules"]["external"]
    assert external == [rule["name"]["as"] for rule in rules]


def test_the_ingress_leads_to_the_servers_and_shows_no_metrics() -> None:
    service = named("Service")["perch"]["spec"]
    assert service["selector"] == pod_of(named("Deployment")["perch-server"])["metadata"]["labels"]
    (rule,) = named("Ingress")["perch"]["spec"]["rules"]
    for path in rule["http"]["paths"]:
        assert path["backend"]["service"]["name"] == "perch"
        assert path["pathType"] == "Exact" or path["path"] in ("/graphql", "/app")
    timeouts = named("Ingress")["perch"]["metadata"]["annotations"]
    assert int(timeouts["nginx.ingress.kubernetes.io/proxy-read-timeout"]) >= 3600


def test_the_network_lets_pods_be_reached_at_their_ports_and_reach_what_their_urls_name() -> None:
    policies = named("NetworkPolicy")
    assert policies["perch-nothing"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    inside = {port["port"] for one in policies["perch-calls-in"]["spec"]["ingress"] for port in one["ports"]}
    assert inside == {
        pod["spec"]["containers"][0]["ports"][0]["containerPort"]
        for pod in PODS
        if "ports" in pod["spec"]["containers"][0]
    }
    outside = {port["port"] for one in policies["perch-calls-out"]["spec"]["egress"] for port in one["ports"]}
    assert {53, 27017, 6379} <= outside
    for pod in PODS:
        assert pod["metadata"]["labels"]["app.kubernetes.io/name"] == "perch"
