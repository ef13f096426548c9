import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from ros_rig import Probe

from vilp_ros.errors import VilpError
from vilp_ros.ros.diagnostics import OK, Report
from vilp_ros.ros.lifecycle import ManagedNode
from vilp_ros.ros.parameters import AUTOSTART

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class Recorder(ManagedNode):
    """Writes down what it is told to do; `faults` says which words raise."""

    def __init__(self, context, faults=None, autostart=False):
        self.calls, self.faults = [], faults or {}
        super().__init__(
            "recorder",
            (AUTOSTART,),
            context=context,
            cli_args=["--ros-args", "-p", f"autostart:={str(autostart).lower()}"],
        )

    def _do(self, word):
        self.calls.append(word)
        if word in self.faults:
            raise self.faults[word]

    def _setup(self):
        self._do("setup")

    def _start(self):
        self._do("start")

    def _hold(self):
        self._do("hold")

    def _teardown(self):
        self._do("teardown")

    def _report(self):
        return Report(OK, "acting")


@pytest.fixture
def probe(domain):
    probe = Probe(domain)
    yield probe
    probe.close()


@pytest.fixture
def make(probe):
    nodes = []

    def make(**kwargs):
        node = Recorder(probe.context, **kwargs)
        probe.add(node)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.destroy_node()


def test_the_way_up_and_down(make, probe):
    node = make()
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    probe.spin_until(lambda: probe.says("recorder", "acting"), "its report")
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_cleanup() == SUCCESS
    probe.spin_until(lambda: probe.says("recorder", "unconfigured"), "its report")
    assert node.calls == ["setup", "start", "hold", "start", "hold", "teardown"]


@pytest.mark.parametrize(
    ("error", "text"),
    [(VilpError("no such bundle"), "no such bundle"), (KeyError("weights"), "KeyError: 'weights'")],
)
def test_a_setup_that_fails_is_told_undone_and_can_be_tried_again(make, probe, error, text):
    node = make(faults={"setup": error})
    assert node.trigger_configure() == FAILURE
    assert node.calls == ["setup", "teardown"]
    probe.spin_until(lambda: probe.says("recorder", "configure failed: "), "its report")
    assert probe.says("recorder", text)
    node.faults.clear()
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    probe.spin_until(lambda: probe.says("recorder", "acting"), "its report")


def test_a_start_that_fails_holds_and_stays_inactive(make):
    node = make(faults={"start": VilpError("no")})
    node.trigger_configure()
    assert node.trigger_activate() == FAILURE
    assert node.calls == ["setup", "start", "hold"]
    node.faults.clear()
    assert node.trigger_activate() == SUCCESS


def test_autostart_brings_it_up(make, probe):
    node = make(autostart=True)
    probe.spin_until(lambda: "start" in node.calls, "autostart")
    assert node.calls == ["setup", "start"]
    assert node.exit_code is None


def test_autostart_that_fails_ends_the_process(make, probe):
    node = make(autostart=True, faults={"setup": VilpError("no")})
    probe.spin_until(lambda: node.exit_code is not None, "the exit code")
    assert node.exit_code == 2
    assert node.calls == ["setup", "teardown"]


def test_closing_holds_only_what_acts(make):
    node = make()
    node.close()
    assert node.calls == ["teardown"]
    node = make()
    node.trigger_configure()
    node.trigger_activate()
    node.close()
    assert node.calls == ["setup", "start", "hold", "teardown"]
