"""The Kubernetes overlays: valid, closed, and such that a running encode may finish."""

import base64
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from deploy.docker.secret_files import values
from deploy.k8s.secrets import manifests
from services.common import topology
from services.common.settings import parse_seconds
from services.transcoder.settings import TranscoderSettings
from tests.deploy.keda import SCHEMAS
from tests.deploy.manifests import OVERLAYS, Manifest, build, of_kind, pods
from tests.deploy.test_compose import settings_of

# An old one that is still run, and the newest the validator knows.
VERSIONS = ("1.31", kubernetes_validate.latest_version())
SERVICES = ("gateway", "notifier", "transcoder")

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def container(pod: Manifest) -> Manifest:
    (only,) = pod["spec"]["containers"]
    found: Manifest = only
    return found


def deployment(overlay: str, name: str) -> Manifest:
    return of_kind(overlay, "Deployment")[name]


def reached(overlay: str, labels: dict[str, str]) -> set[int]:
    """The ports a pod with `labels` may connect to, names (port 53) aside."""
    ports = set()
    for policy in of_kind(overlay, "NetworkPolicy").values():
        selector = policy["spec"]["podSelector"].get("matchLabels", {})
        if "Egress" in policy["spec"]["policyTypes"] and selector.items() <= labels.items():
            ports |= {port["port"] for rule in policy["spec"].get("egress", []) for port in rule["ports"]}
    return ports - {53}


@every_overlay
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(overlay: str, version: str):
    for item in build(overlay):
        if item["kind"] not in SCHEMAS:
            kubernetes_validate.validate(item, version, strict=True)


@every_overlay
def test_keda_knows_every_field(overlay: str):
    for item in build(overlay):
        if item["kind"] in SCHEMAS:
            jsonschema.validate(item, SCHEMAS[item["kind"]])


def test_everything_is_in_the_namespace():
    for overlay in OVERLAYS:
        for item in build(overlay):
            assert item["kind"] == "Namespace" or item["metadata"]["namespace"] == "video"


@every_overlay
def test_pods_are_restricted(overlay: str):
    for name, pod in pods(overlay):
        spec, only = pod["spec"], container(pod)
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert only["securityContext"]["allowPrivilegeEscalation"] is False, name
        assert only["securityContext"]["privileged"] is False, name
        assert only["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
        # RabbitMQ's start script writes beside its programs.
        assert only["securityContext"].get("readOnlyRootFilesystem") is (None if name == "rabbitmq" else True), name
        assert only["resources"]["limits"]["memory"], name
        assert only["resources"]["requests"]["cpu"], name


@every_overlay
def test_long_running_pods_are_probed(overlay: str):
    for name, pod in pods(overlay):
        if pod["spec"].get("restartPolicy") != "OnFailure":
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container(pod)), name


@every_overlay
def test_probes_and_services_name_ports_that_are_there(overlay: str):
    by_labels = [(pod["metadata"]["labels"], container(pod)) for _, pod in pods(overlay)]
    for name, pod in pods(overlay):
        names = {port["name"] for port in container(pod).get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            handler = container(pod).get(probe, {})
            asked = {handler[kind]["port"] for kind in ("httpGet", "tcpSocket") if kind in handler}
            assert asked <= names, name
    for name, service in of_kind(overlay, "Service").items():
        behind = [c for labels, c in by_labels if service["spec"]["selector"].items() <= labels.items()]
        assert behind, name
        names = {port["name"] for port in behind[0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names, name


@every_overlay
def test_what_pods_refer_to_exists(overlay: str, tmp_path: Path):
    secrets = {item["metadata"]["name"]: item for item in made_secrets(tmp_path)}
    config_maps = of_kind(overlay, "ConfigMap")
    claims = of_kind(overlay, "PersistentVolumeClaim")
    accounts = of_kind(overlay, "ServiceAccount")
    for name, pod in pods(overlay):
        assert pod["spec"]["serviceAccountName"] in accounts
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for mount in container(pod)["volumeMounts"]:
            assert mount["name"] in volumes or mount["name"] == "data", f"{name}: {mount['name']}"
        for volume in volumes.values():
            if "secret" in volume:
                assert volume["secret"]["secretName"] in secrets, name
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims, name
        for source in container(pod).get("envFrom", []):
            assert source["configMapRef"]["name"] in config_maps, name
        for variable in container(pod).get("env", []):
            reference = variable.get("valueFrom", {}).get("configMapKeyRef")
            assert not reference or reference["key"] in config_maps[reference["name"]]["data"], name


@every_overlay
@pytest.mark.parametrize("name", SERVICES)
def test_the_settings_of_each_service_make_sense(
    overlay: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    only = container(deployment(overlay, name)["spec"]["template"])
    known = {field.upper() for field in settings_of(name).model_fields} | {"SECRETS_DIR"}
    own = {variable["name"]: variable.get("value", "2") for variable in only["env"]}
    assert set(own) <= known
    (config,) = of_kind(overlay, "ConfigMap").values()
    everybody = {field.upper() for service in SERVICES for field in settings_of(service).model_fields}
    assert set(config["data"]) <= everybody
    secret = next(item for item in made_secrets(tmp_path) if item["metadata"]["name"] == f"video-{name}")
    assert set(secret["data"]) <= set(settings_of(name).model_fields)
    for variable, value in {**config["data"], **own, f"{name.upper()}_HOST": "0.0.0.0"}.items():
        monkeypatch.setenv(variable, value)
    directory = tmp_path / "secrets"
    directory.mkdir()
    for key, value in secret["data"].items():
        (directory / key).write_bytes(base64.b64decode(value))
    assert settings_of(name)(_secrets_dir=directory)


@every_overlay
def test_a_running_encode_may_finish(overlay: str):
    pod = deployment(overlay, "transcoder")["spec"]["template"]
    environment = {variable["name"]: variable.get("value") for variable in container(pod)["env"]}
    drain = parse_seconds(environment["DRAIN_TIMEOUT"])
    pre_stop = container(pod)["lifecycle"]["preStop"]["sleep"]["seconds"]
    after = TranscoderSettings.model_fields["shutdown_timeout"].default
    assert pod["spec"]["terminationGracePeriodSeconds"] >= pre_stop + drain + after
    for name in ("gateway", "notifier", "page"):
        assert container(deployment(overlay, name)["spec"]["template"])["lifecycle"]["preStop"], name


@every_overlay
def test_the_transcoder_reaches_only_broker_and_store(overlay: str):
    labels = deployment(overlay, "transcoder")["spec"]["template"]["metadata"]["labels"]
    broker, store = ({5672}, {9000}) if overlay == "single-node" else ({5671, 5672}, {443})
    assert reached(overlay, labels) == broker | store
    assert reached(overlay, deployment(overlay, "notifier")["spec"]["template"]["metadata"]["labels"]) == broker
    assert reached(overlay, {"app": "something else"}) == set()
    denied = of_kind(overlay, "NetworkPolicy")["default-deny"]["spec"]
    assert denied["podSelector"] == {}
    assert set(denied["policyTypes"]) == {"Ingress", "Egress"}


@every_overlay
def test_every_deployment_has_a_disruption_budget_that_lets_nodes_drain(overlay: str):
    budgets = of_kind(overlay, "PodDisruptionBudget")
    for name, item in of_kind(overlay, "Deployment").items():
        assert budgets[name]["spec"]["selector"] == {"matchLabels": {"app.kubernetes.io/name": name}}
        assert budgets[name]["spec"]["maxUnavailable"] == 1
        labels = item["spec"]["template"]["metadata"]["labels"]
        for spread in item["spec"]["template"]["spec"]["topologySpreadConstraints"]:
            assert spread["labelSelector"]["matchLabels"].items() <= labels.items()


@every_overlay
def test_sockets_outlive_the_ingress_defaults(overlay: str):
    annotations = of_kind(overlay, "Ingress")["video"]["metadata"]["annotations"]
    for direction in ("read", "send"):
        assert int(annotations[f"nginx.ingress.kubernetes.io/proxy-{direction}-timeout"]) >= 3600
    assert annotations["nginx.ingress.kubernetes.io/proxy-body-size"] == "0"


def test_the_scaler_watches_the_work_queue():
    for overlay, least in (("production", 1), ("production-scale-to-zero", 0)):
        spec = of_kind(overlay, "ScaledObject")["transcoder"]["spec"]
        (trigger,) = spec["triggers"]
        assert trigger["metadata"]["queueName"] == topology.JOBS_QUEUE
        assert trigger["metadata"]["value"] == "10"
        assert trigger["metadata"]["protocol"] == "http"
        assert trigger["metadata"]["excludeUnacknowledged"] == "false"
        assert trigger["authenticationRef"]["name"] in of_kind(overlay, "TriggerAuthentication")
        assert spec["scaleTargetRef"]["name"] in of_kind(overlay, "Deployment")
        assert spec["minReplicaCount"] == least
        assert "replicas" not in deployment(overlay, "transcoder")["spec"], "it would fight the scaler at every apply"


def test_the_scaler_may_look_at_the_queue(tmp_path: Path):
    secret = next(item for item in made_secrets(tmp_path) if item["metadata"]["name"] == "video-keda")
    (reference,) = of_kind("production", "TriggerAuthentication")["rabbitmq"]["spec"]["secretTargetRef"]
    assert reference["name"] == secret["metadata"]["name"]
    host = base64.b64decode(secret["data"][reference["key"]]).decode()
    # The slash at the end is the default virtual host's.
    assert host.startswith("http://monitor:")
    assert host.endswith("@rabbitmq.video:15672/")


def test_one_sqlite_file_has_one_writer():
    gateway = deployment("single-node", "gateway")["spec"]
    assert gateway["replicas"] == 1
    assert gateway["strategy"] == {"type": "Recreate"}


def test_production_stands_on_its_own_feet_only():
    kinds = {item["kind"] for item in build("production")}
    assert not kinds & {"StatefulSet", "PersistentVolumeClaim", "Secret"}
    assert deployment("production", "gateway")["spec"]["replicas"] >= 2
    assert of_kind("production", "Ingress")["video"]["spec"]["tls"]
    assert "S3_PUBLIC_ENDPOINT" in next(iter(of_kind("production", "ConfigMap").values()))["data"]


def test_no_overlay_holds_a_secret():
    for overlay in OVERLAYS:
        assert not of_kind(overlay, "Secret")


def made_secrets(directory: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = manifests(values(directory, directory), job_timeout_s=3600)["items"]
    for item in found:
        kubernetes_validate.validate(item, VERSIONS[-1], strict=True)
    return found


def test_the_broker_finds_its_definitions_where_they_are_mounted(tmp_path: Path):
    secret = next(item for item in made_secrets(tmp_path) if item["metadata"]["name"] == "video-rabbitmq")
    text = base64.b64decode(secret["data"]["rabbitmq.conf"]).decode()
    (mount,) = [
        mount
        for name, pod in pods("single-node")
        if name == "rabbitmq"
        for mount in container(pod)["volumeMounts"]
        if mount["name"] == "secrets"
    ]
    assert f"load_definitions = {mount['mountPath']}/definitions.json\n" in text
