"""Threads that wait asleep while other work needs the cores."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from harness.hardware.threads import CALM_INTERVALS, Crowding, longest_wait, share_processor, waits

STEPS = """
import json, os, resource, sys, threading, time

os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])  # both threads of a team on one core
import torch
from harness.hardware import threads
from harness.hardware.threads import IdleTeam, openmp_libraries, share_processor

torch.set_num_threads(2)
image = torch.randn(64, 64, 64)

def sleeps(operations=40):
    # how often a thread gave the core away of itself while it waited for the other
    before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    for _ in range(operations):
        image.sin()
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before

def gradient():
    weight = torch.ones(16, 3, 3, 3, requires_grad=True)
    images = torch.randn(32, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.nn.functional.conv2d(images, weight).sin().sum().backward()
    return weight.grad

if not openmp_libraries():
    sys.exit(77)
if sys.argv[1] == "team":
    alone = gradient()
    team = IdleTeam(openmp_libraries(), 3)
    asleep, same = sleeps(), torch.equal(alone, gradient())
    team.let_go()
    print(json.dumps([torch.get_num_threads(), asleep, same]))
else:
    def n_teams():
        return sum(thread.name == "idle team" for thread in threading.enumerate())

    share_processor(2)
    share_processor(2)
    watches = sum(thread.name == "harness-threads" for thread in threading.enumerate())
    deadline = time.monotonic() + 60
    while not n_teams() and time.monotonic() < deadline:
        sleeps()
    crowded = n_teams()
    while n_teams() and time.monotonic() < deadline:
        time.sleep(0.1)
    print(json.dumps([watches, crowded, n_teams()]))
"""


def run(what: str) -> list[int]:
    result = subprocess.run([sys.executable, "-c", STEPS, what], text=True, capture_output=True)
    if result.returncode == 77:
        pytest.skip("torch computes with another OpenMP than GNU's")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


needs_linux = pytest.mark.skipif(not waits(), reason="this system does not say how long threads wait for a core")


@needs_linux
def test_beside_an_idle_team_threads_wait_asleep_and_compute_the_same_bytes():
    threads, asleep, same = run("team")
    assert threads == 2
    assert same
    assert asleep > 20  # of 40 operations; a thread that spins through its time slice never gives its core away


@needs_linux
def test_threads_that_wait_for_a_core_are_noticed_and_so_is_their_end():
    assert run("watch") == [1, 1, 0]


def test_a_processor_is_shared_from_the_first_wait_until_waits_are_long_past():
    crowding = Crowding()
    assert not crowding.judge(0.1)
    assert crowding.judge(0.5)
    assert [crowding.judge(0.0) for _ in range(CALM_INTERVALS)] == [True] * (CALM_INTERVALS - 1) + [False]
    assert crowding.judge(0.5)
    assert [crowding.judge(0.0) for _ in range(CALM_INTERVALS - 1)] == [True] * (CALM_INTERVALS - 1)
    assert crowding.judge(0.5)
    assert crowding.judge(0.0)


def test_the_longest_wait_is_of_one_thread_and_not_of_those_that_are_new():
    before, now = {"1": 10, "2": 0, "4": 0}, {"1": 10, "2": 250_000_000, "3": 900_000_000}
    assert longest_wait(before, now, 0.5) == 0.5
    assert longest_wait({}, {}, 0.5) == 0.0


def test_one_thread_waits_for_nobody():
    assert not share_processor(1)
