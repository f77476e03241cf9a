# SPDX-License-Identifier: Apache-2.0
"""The schemas of docs/schema, what the verbs say they print, and a judge of what they do print."""
import copy
import functools
import json
import re
import subprocess

import jsonschema

from e2e import BUILD, ROOT

FOLDER = ROOT / "docs/schema"
ERROR = "vferry.error/1"
# Members that an object may lack, that may be null somewhere, and whose texts are of a kind.
OPTIONAL = {"error", "partition of vferry.result/1", "duration_ns of vferry.image/1"}
NULLABLE = {
    "adapters", "attention", "blackout_clock", "blackout_ns", "brownout_ns", "bytes", "bytes_sent", "check", "commit_ns",
    "compression", "dirty_bytes_per_s", "duration_ns", "ended_unix_ns", "epoch", "error", "eta_ns", "from", "held_by", "job", "jobs", "kernel",
    "kernel_version", "kernel_word", "listen", "name", "page_bytes", "pages", "pages_ns", "pages_sent", "partitions", "partitions_dropped",
    "pause_ns", "peer_identity", "percent", "predicted_blackout_ns", "rate_bytes_per_s", "reason", "reconnects", "remedy",
    "rounds", "start_ns", "started_unix_ns", "state_ns", "steps", "steps_per_s", "steps_wanted", "streams", "total_ns",
    "until", "uuid", "verify", "verify_ns", "vf_count", "vf_free", "vram_bytes", "vram_free_bytes", "why_not", "workload",
    "workload_state", "gpu_ns", "gpu_read_ns", "gpu_percent", "stood_ns", "throttle_max", "throttled_ns", "max_blackout_ns", "max_time_ns", "bandwidth_bytes_per_s",
}
CHOSEN = {
    "held_by",
    "schema", "name", "partition", "uuid", "luid", "state of vferry.partition/1", "state of vferry.partitions/1", "workload", "workload_state", "status", "kind of vferry.job/1",
    "kind of vferry.jobs/1", "direction", "outcome", "security", "blackout_clock", "compression", "verify", "digest", "interface",
    "saved", "from", "until",
}


def vferry(*words, **more):
    return subprocess.run(
        [BUILD / "vferry", *map(str, words)], capture_output=True, text=True, check=False, timeout=60, **more
    )


@functools.cache
def verbs():
    """Every verb of the table, as --help lists them."""
    return re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", vferry("--help").stdout, re.M)


@functools.cache
def promised(verb):
    """The schemas that the verb's help names."""
    line = re.search(r"^--json prints (.*)$", vferry(*verb.split(), "--help").stdout, re.M)
    return re.findall(r"vferry\.[a-z-]+/\d+", line.group(1)) if line else []


def path_of(name):
    return FOLDER / f"{name.replace('/', '-')}.json"


def validator(name):
    schema = json.loads(path_of(name).read_text(encoding="utf-8"))
    resolver = jsonschema.RefResolver(path_of(name).as_uri(), schema)
    return jsonschema.Draft202012Validator(schema, resolver=resolver)


def faults_of(told):
    """What is wrong with an object, by the schema that it names."""
    return [f"{error.json_path}: {error.message}" for error in validator(told["schema"]).iter_errors(told)]


class Judge:
    """Runs verbs with --json, and holds what they print against their schemas."""

    def __init__(self, case):
        self.case = case
        self.seen = {}  # schema -> objects
        self.ran = set()  # verbs

    def take(self, verb, text):
        """One object of a verb's output; it is returned."""
        told = json.loads(text)
        self.case.assertIn(told["schema"], [*promised(verb), ERROR], verb)
        self.case.assertEqual(faults_of(told), [], f"{verb}: {text}")
        self.seen.setdefault(told["schema"], []).append(told)
        self.ran.add(verb)
        return told

    def ask(self, host, *words, code=0):
        """Runs it on the host, or without one (None)."""
        verb = next(" ".join(words[:n]) for n in (2, 1) if " ".join(map(str, words[:n])) in verbs())
        done = vferry("--json", *words) if host is None else host.run("--json", *words, code=None)
        self.case.assertEqual(done.returncode, code, f"{words}: {done.stderr}{done.stdout}")
        self.case.assertEqual(done.stdout.count("\n"), 1, f"{words}: no one line: {done.stdout!r}")
        return self.take(verb, done.stdout)


def places(value, path=()):
    """Every place in an object, itself first; of a list its first element stands for all."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, below in inner:
        yield from places(below, (*path, key))


def at(value, path):
    for key in path:
        value = value[key]
    return value


def among(names, key, told):
    return key in names or f"{key} of {told['schema']}" in names


def wrong_values(key, value, told):
    """(what it is, value) for all that may not stand in the place of this one."""
    yield "an object of its own", {"stranger": 1}
    if value is not None and not among(NULLABLE, key, told):
        yield "null", None
    if isinstance(value, str) and among(CHOSEN, key, told):
        yield "no such value", "no such value"
    if isinstance(value, float):
        yield from (("negative", -1.5), ("more than all", 1.5), ("a text", "1"))  # they are shares
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from (("negative", -1), ("no whole number", 1.5), ("a text", "1"))
    elif value is not None:
        yield "a number", 0.5


def mutants(told):
    """(what was done, object) for everything that the schema must refuse: the object with one thing wrong."""
    for path in places(told):
        if isinstance(at(told, path), dict):
            mutant = copy.deepcopy(told)
            at(mutant, path)["stranger"] = 1
            yield f"{path} has a member more", mutant
        if not path:
            continue
        key = next(part for part in reversed(path) if isinstance(part, str))
        for what, wrong in wrong_values(key, at(told, path), told):
            mutant = copy.deepcopy(told)
            at(mutant, path[:-1])[path[-1]] = wrong
            yield f"{path} is {what}", mutant
        if isinstance(path[-1], str) and not among(OPTIONAL, key, told):
            mutant = copy.deepcopy(told)
            del at(mutant, path[:-1])[path[-1]]
            yield f"{path} is missing", mutant
