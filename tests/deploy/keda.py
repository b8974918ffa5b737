"""The fields that KEDA documents for what is used here, as JSON schemas that know nothing else.

https://keda.sh/docs/latest/reference/scaledobject-spec/, .../concepts/authentication/ and
.../scalers/rabbitmq-queue/.  Values of a trigger's metadata are strings.
"""

from typing import Any

NAME = {"type": "string", "minLength": 1}
COUNT = {"type": "integer", "minimum": 0}
METADATA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {"name": NAME, "namespace": NAME, "labels": {"type": "object"}, "annotations": {"type": "object"}},
}


def closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


POLICIES = closed(
    [],
    stabilizationWindowSeconds={"type": "integer", "minimum": 0, "maximum": 3600},
    selectPolicy={"enum": ["Max", "Min", "Disabled"]},
    tolerance={"type": ["string", "number"]},
    policies={
        "type": "array",
        "items": closed(
            ["type", "value", "periodSeconds"],
            type={"enum": ["Pods", "Percent"]},
            value={"type": "integer", "minimum": 1},
            periodSeconds={"type": "integer", "minimum": 1, "maximum": 1800},
        ),
    },
)
RABBITMQ = closed(
    ["queueName", "mode", "value"],
    host=NAME,
    hostFromEnv=NAME,
    protocol={"enum": ["auto", "amqp", "http"]},
    mode={"enum": ["QueueLength", "MessageRate", "DeliverGetRate", "PublishedToDeliveredRatio"]},
    value={"type": "string", "pattern": r"^\d+(\.\d+)?$"},
    activationValue={"type": "string", "pattern": r"^\d+(\.\d+)?$"},
    queueName=NAME,
    vhostName=NAME,
    useRegex={"enum": ["true", "false"]},
    pageSize={"type": "string", "pattern": r"^\d+$"},
    operation={"enum": ["sum", "max", "avg"]},
    excludeUnacknowledged={"enum": ["true", "false"]},
    timeout={"type": "string", "pattern": r"^\d+$"},
    unsafeSsl={"enum": ["true", "false"]},
    tls={"enum": ["enable", "disable"]},
    usernameFromEnv=NAME,
    passwordFromEnv=NAME,
)
TRIGGER = closed(
    ["type", "metadata"],
    type={"const": "rabbitmq"},
    name=NAME,
    metadata=RABBITMQ,
    metricType={"enum": ["AverageValue", "Value", "Utilization"]},
    useCachedMetrics={"type": "boolean"},
    authenticationRef=closed(
        ["name"], name=NAME, kind={"enum": ["TriggerAuthentication", "ClusterTriggerAuthentication"]}
    ),
)
SCALED_OBJECT = closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "keda.sh/v1alpha1"},
    kind={"const": "ScaledObject"},
    metadata=METADATA,
    spec=closed(
        ["scaleTargetRef", "triggers"],
        scaleTargetRef=closed(["name"], apiVersion=NAME, kind=NAME, name=NAME, envSourceContainerName=NAME),
        pollingInterval={"type": "integer", "minimum": 1},
        initialCooldownPeriod=COUNT,
        cooldownPeriod=COUNT,
        idleReplicaCount={"const": 0},
        minReplicaCount=COUNT,
        maxReplicaCount={"type": "integer", "minimum": 1},
        fallback=closed(
            ["failureThreshold", "replicas"],
            failureThreshold=COUNT,
            replicas=COUNT,
            behavior={"enum": ["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]},
        ),
        advanced=closed(
            [],
            restoreToOriginalReplicaCount={"type": "boolean"},
            horizontalPodAutoscalerConfig=closed(
                [], name=NAME, behavior=closed([], scaleUp=POLICIES, scaleDown=POLICIES)
            ),
        ),
        triggers={"type": "array", "minItems": 1, "items": TRIGGER},
    ),
)
TRIGGER_AUTHENTICATION = closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "keda.sh/v1alpha1"},
    kind={"const": "TriggerAuthentication"},
    metadata=METADATA,
    spec=closed(
        ["secretTargetRef"],
        secretTargetRef={
            "type": "array",
            "minItems": 1,
            "items": closed(
                ["parameter", "name", "key"],
                # What the rabbitmq trigger takes from an authentication.
                parameter={"enum": ["host", "username", "password", "tls", "ca", "cert", "key", "keyPassword"]},
                name=NAME,
                key=NAME,
            ),
        },
    ),
)
SCHEMAS = {"ScaledObject": SCALED_OBJECT, "TriggerAuthentication": TRIGGER_AUTHENTICATION}
