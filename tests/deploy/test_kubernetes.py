"""KubeRay takes the manifests, by its own schema, and they ask for what the sweep needs. Nothing is
started here."""

import copy
import gzip
import re
import shlex
from pathlib import Path

import pytest
import ray
import yaml
from jsonschema import Draft202012Validator, ValidationError

ROOT = Path(__file__).parents[2]
CLAIM = yaml.safe_load((ROOT / "deploy" / "claim.yaml").read_text())


def strict(schema):
    """A schema that refuses fields it does not know, as Kubernetes does when it is told to validate
    strictly."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(part) for key, part in schema.items()}
    if "properties" in schema and "additionalProperties" not in schema:
        closed["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    return closed


@pytest.fixture(scope="module")
def check():
    """Check a manifest against the schema of its kind."""
    validators = {}
    for kind in ("RayJob", "RayCronJob"):
        path = ROOT / "tests" / "deploy" / "kuberay" / f"ray.io_{kind.lower()}s.crd.yaml.gz"
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the other takes half a minute
        definition = yaml.load(gzip.decompress(path.read_bytes()), loader)
        version = next(v for v in definition["spec"]["versions"] if v["name"] == "v1")
        top = {"apiVersion": {"const": "ray.io/v1"}, "kind": {"const": kind}}
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"] |= top
        validators[kind] = Draft202012Validator(schema)
    return lambda manifest: validators[manifest["kind"]].validate(manifest)


@pytest.fixture(params=["rayjob.yaml", "raycronjob.yaml"])
def manifest(request):
    return yaml.safe_load((ROOT / "deploy" / request.param).read_text())


@pytest.fixture
def job(manifest):
    """What both ask of a job."""
    return manifest["spec"]["jobTemplate"] if manifest["kind"] == "RayCronJob" else manifest["spec"]


def pods(job):
    cluster = job["rayClusterSpec"]
    return [
        group["template"]["spec"]
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])
    ]


def test_kuberay_accepts_the_manifest(check, manifest):
    check(manifest)


def misspelt_field(job):
    job["backoflimit"] = 3


def misspelt_field_of_a_pod(job):
    pods(job)[1]["containers"][0]["volumeMount"] = []


def unknown_mode(job):
    job["rayClusterSpec"]["authOptions"]["mode"] = "tokn"


def number_as_text(job):
    job["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplicas"] = "4"


def no_head(job):
    del job["rayClusterSpec"]["headGroupSpec"]


@pytest.mark.parametrize(
    "breaks", [misspelt_field, misspelt_field_of_a_pod, unknown_mode, number_as_text, no_head]
)
def test_kuberay_refuses_a_broken_copy(check, manifest, breaks):
    broken = copy.deepcopy(manifest)
    breaks(broken["spec"]["jobTemplate"] if broken["kind"] == "RayCronJob" else broken["spec"])
    with pytest.raises(ValidationError):
        check(broken)


def test_every_night_is_what_one_job_is():
    once, nightly = (
        yaml.safe_load((ROOT / "deploy" / name).read_text())["spec"]
        for name in ("rayjob.yaml", "raycronjob.yaml")
    )
    assert nightly["jobTemplate"] == once
    assert len(nightly["schedule"].split()) == 5


def test_a_job_is_tried_again_and_its_cluster_ended(job):
    assert job["backoffLimit"] > 0 and job["shutdownAfterJobFinishes"]
    sweep = yaml.safe_load((ROOT / "deploy" / "sweep.yaml").read_text())
    assert job["activeDeadlineSeconds"] > 3600 * int(sweep["time_budget"].removesuffix("h"))


def test_every_process_authenticates_by_token(job):
    assert job["rayClusterSpec"]["authOptions"] == {"mode": "token"}


def test_every_pod_has_the_shared_storage_that_the_sweep_writes_to(job):
    assert CLAIM["spec"]["accessModes"] == ["ReadWriteMany"]
    words = shlex.split(job["entrypoint"])
    storage = words[words.index("--storage") + 1]
    for pod in pods(job):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {
            mount["mountPath"]: volumes[mount["name"]]
            for mount in pod["containers"][0]["volumeMounts"]
        }
        assert mounts[storage]["persistentVolumeClaim"]["claimName"] == CLAIM["metadata"]["name"]
        assert words[3] == "/etc/kerasweep/sweep.yaml" and "configMap" in mounts["/etc/kerasweep"]


def test_gpu_pods_come_when_they_are_needed_and_the_head_has_none(job):
    cluster = job["rayClusterSpec"]
    assert (
        cluster["enableInTreeAutoscaling"]
        and cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    )
    (group,) = cluster["workerGroupSpecs"]
    assert group["minReplicas"] == group["replicas"] == 0 < group["maxReplicas"]
    head, worker = (pod["containers"][0]["resources"]["limits"] for pod in pods(job))
    assert "nvidia.com/gpu" not in head and worker["nvidia.com/gpu"] == "1"


def test_what_is_stopped_has_the_time_to_save_everything(job):
    # Ray kills the driver where it is told to end itself, so the head's hook comes before that
    # (test_stop_searches).
    (head, waits), (worker, drains) = (
        (pod, {each["name"]: each["value"] for each in pod["containers"][0]["env"]})
        for pod in pods(job)
    )
    hook_s, own_s = (
        int(waits["RAY_JOB_STOP_WAIT_TIME_S"]),
        float(waits["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"]),
    )
    assert hook_s > 60 and hook_s + own_s + 10 <= head["terminationGracePeriodSeconds"]
    # And the trials are not taken from it meanwhile.
    assert (
        hook_s
        <= float(drains["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
        <= worker["terminationGracePeriodSeconds"] - 10
    )


def test_ray_knows_the_settings_by_these_names(job):
    names = {each["name"] for pod in pods(job) for each in pod["containers"][0]["env"]}
    ray_itself = Path(ray.__file__).parent
    known = (
        ray_itself / "_private" / "ray_constants.py",
        ray_itself / "dashboard/modules/job/job_supervisor.py",
    )
    text = "".join(file.read_text() for file in known)
    assert names and all(f'"{name}"' in text for name in names)


def test_the_cluster_is_of_the_ray_that_is_pinned(job):
    pinned = re.search(r"^ray==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
    assert job["rayClusterSpec"]["rayVersion"] == pinned
    head = (ROOT / "deploy" / "rayjob.yaml").read_text()
    assert f"FROM rayproject/ray:{pinned}-py311-gpu" in head


def test_its_command_is_one_that_is_carried_out(cli, job, tmp_path):
    python, dash, module, file, *options = shlex.split(job["entrypoint"])
    assert (python, dash, module) == ("python", "-m", "pipeline.run")
    options[options.index("/mnt/runs")] = str(tmp_path)
    sweep = ROOT / "deploy" / Path(file).name
    code, output, errors = cli(
        sweep, *options, "--dry-run", cwd=tmp_path, RAY_ADDRESS="127.0.0.1:6379"
    )
    assert code == 0, errors
    assert "Experiments: 5, 1 at once; in nightly the sweep begins a new sitting:" in output
