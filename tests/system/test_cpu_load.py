import subprocess
import sys
import time
from collections import namedtuple
from typing import Any

import psutil
import pytest

from bench.system import cpu_load
from bench.system.cpu_load import Watch

Times = namedtuple("Times", "user nice system idle iowait irq softirq steal guest guest_nice")


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[list[Times]]:
    """Two cores whose counters are read from a script; wall-clock and own time, too: 10 s pass in
    the block, of which the process computes for 12 on both cores."""
    script: list[list[Times]] = []
    clock, own = iter([0.0, 100.0, 110.0]), iter([0.0, 50.0, 62.0])
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: script.pop(0))
    monkeypatch.setattr(cpu_load, "_allowed", lambda: (0, 1))
    monkeypatch.setattr(cpu_load, "_own_seconds", lambda: next(own))
    monkeypatch.setattr(cpu_load.time, "perf_counter", lambda: next(clock))
    return script


def times(**values: float) -> Times:
    return Times(**(dict.fromkeys(Times._fields, 0.0) | values))


def watched() -> Any:
    with Watch() as watch:
        pass
    return watch.result()


def test_what_others_used_is_what_is_left_of_the_busy_time(scripted: list[list[Times]]) -> None:
    zero = [times(), times()]
    # 6 + 1 + 4 + 2 + 1 + 1 = 15 s busy, 12 of them its own: 3 in 10 s are 0.3 cores.
    busy = [times(user=6, system=1, idle=3), times(user=4, nice=2, irq=1, steal=1, iowait=2)]
    scripted += [zero, zero, busy]
    found = watched()
    assert found.other_busy_cores == pytest.approx(0.3)
    assert found.cores == 2


def test_guests_are_not_counted_twice(scripted: list[list[Times]]) -> None:
    zero = [times(), times()]
    scripted += [zero, zero, [times(user=12, guest=12), times()]]
    assert watched().other_busy_cores == pytest.approx(0.0)


def test_counters_are_coarse_and_never_below_nothing(scripted: list[list[Times]]) -> None:
    zero = [times(), times()]
    scripted += [zero, zero, [times(user=11.9), times()]]
    assert watched().other_busy_cores == 0.0


def test_cores_that_the_system_does_not_show(scripted: list[list[Times]]) -> None:
    scripted += [[times()]] * 3
    assert watched().other_busy_cores is None


@pytest.mark.skipif(not hasattr(psutil.Process(), "cpu_affinity"), reason="needs core affinity")
def test_a_busy_neighbour_on_the_same_core_is_seen() -> None:
    """A real process that spins beside this one."""
    spin = "import time\nprint(flush=True)\nend = time.time() + 30\nwhile time.time() < end: pass"
    with subprocess.Popen([sys.executable, "-c", spin], stdout=subprocess.PIPE) as neighbour:
        assert neighbour.stdout is not None
        neighbour.stdout.readline()
        # It is a child, and children's time is its own; so it is watched from beside.
        before = cpu_load._own_seconds
        try:
            cpu_load._own_seconds = time.process_time
            with Watch() as watch:
                time.sleep(0.6)
        finally:
            cpu_load._own_seconds = before
            neighbour.kill()
    found = watch.result()
    assert found.other_busy_cores is not None
    assert found.other_busy_cores > 0.3
    assert found.major_faults is not None
    assert found.involuntary_switches is not None


def test_a_childs_time_is_its_own() -> None:
    spin = "import time\nprint(flush=True)\nend = time.time() + 30\nwhile time.time() < end: pass"
    with subprocess.Popen([sys.executable, "-c", spin], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        before = cpu_load._own_seconds()
        time.sleep(0.5)
        spent = cpu_load._own_seconds() - before
        child.kill()
    assert spent > 0.2


def test_what_a_child_has_waited_for_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Since Python 3.14, on Linux, the data loader's processes are a server's, not this one's."""
    ProcessTimes = namedtuple("ProcessTimes", "user system children_user children_system")

    class Process:
        def children(self, recursive: bool) -> list["Process"]:
            return [self]

        def cpu_times(self) -> ProcessTimes:
            return ProcessTimes(1.0, 2.0, 30.0, 40.0)

    monkeypatch.setattr(psutil, "Process", Process)
    monkeypatch.setattr(cpu_load, "resource", None)
    monkeypatch.setattr(cpu_load.time, "process_time", lambda: 0.5)
    assert cpu_load._own_seconds() == 73.5


@pytest.mark.skipif(cpu_load.resource is None, reason="Windows does not count them")
def test_a_child_that_has_ended_still_counts() -> None:
    spin = "import time\nwhile time.process_time() < 0.3: pass"
    before = cpu_load._own_seconds()
    subprocess.run([sys.executable, "-c", spin], check=True)
    assert cpu_load._own_seconds() - before > 0.2
