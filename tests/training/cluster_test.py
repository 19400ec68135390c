"""Who trains together, from TF_CONFIG and from Slurm's variables."""

import json

import pytest

from im2txt.training.cluster import Cluster, expand_hosts, read_cluster


def tf_config(cluster, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_tf_config_names_the_workers():
    environment = tf_config({"worker": ["a:1", "b:2"]}, index=1)
    assert read_cluster(environment) == Cluster(("a:1", "b:2"), 1)


def test_a_chief_counts_as_the_first_worker():
    cluster = {"chief": ["c:1"], "worker": ["a:1", "b:2"]}
    assert read_cluster(tf_config(cluster, "chief")) == Cluster(("c:1", "a:1", "b:2"), 0)
    assert read_cluster(tf_config(cluster, "worker", 1)) == Cluster(("c:1", "a:1", "b:2"), 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no JSON"),
        ("[]", 'needs {"cluster"'),
        ('{"cluster": {"worker": "a:1"}}', 'needs {"cluster"'),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}}', r"only workers and one chief train here, not \['ps'\]"),
        ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}', "'a' must be host:port"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}', "stands twice"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', '"task" must name one'),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "0"}}', '"task" must name one'),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}', '"task" must name one'),
        ('{"cluster": {"worker": ["a:1"]}}', '"task" must name one'),
    ],
)
def test_a_malformed_tf_config_is_refused_in_one_line(text, told):
    with pytest.raises(ValueError, match=told) as refused:
        read_cluster({"TF_CONFIG": text})
    assert "\n" not in str(refused.value)
    assert repr(text) in str(refused.value)


def test_without_any_environment_the_form_of_tf_config_is_told():
    with pytest.raises(ValueError, match=r'multi_worker needs TF_CONFIG .*"worker", "index": 0'):
        read_cluster({})


def slurm(**changes):
    return {
        "SLURM_STEP_NODELIST": "gpu[01-02,7]",
        "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
        "SLURM_PROCID": "3",
        "SLURM_JOB_ID": "5",
    } | changes


def test_slurm_s_variables_name_the_workers_in_order_of_their_numbers():
    port = 20_000 + 5 * 64
    expected = (f"gpu01:{port}", f"gpu01:{port + 1}", f"gpu02:{port}", f"gpu02:{port + 1}", f"gpu7:{port}")
    assert read_cluster(slurm()) == Cluster(expected, 3)


def test_two_jobs_on_one_machine_use_other_ports():
    one, other = (read_cluster(slurm(SLURM_JOB_ID=job)).addresses for job in ("5", "6"))
    assert not set(one) & set(other)


def test_tf_config_comes_before_slurm():
    assert read_cluster(slurm() | tf_config({"worker": ["a:1"]})).addresses == ("a:1",)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"SLURM_STEP_TASKS_PER_NODE": "2"}, "has 3 hosts"),
        ({"SLURM_STEP_TASKS_PER_NODE": "two"}, r"not of the form 2\(x3\),1"),
        ({"SLURM_PROCID": "5"}, "SLURM_PROCID=5: there are 5 tasks"),
    ],
)
def test_slurm_s_variables_that_do_not_fit_each_other_are_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        read_cluster(slurm(**changes))


def test_a_job_step_that_srun_did_not_start_is_refused():
    with pytest.raises(ValueError, match="SLURM_STEP_NODELIST, SLURM_STEP_TASKS_PER_NODE, SLURM_JOB_ID is not set"):
        read_cluster({"SLURM_PROCID": "0"})


def test_lists_of_hosts_are_written_out():
    assert expand_hosts("login,gpu[8-10],a[1]b") == ["login", "gpu8", "gpu9", "gpu10", "a1b"]
