"""The node table of `vilp_ros.ros.graph` as launch actions; `vilp up` starts the same."""

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from vilp_ros.ros.graph import ARGUMENTS, RESPAWN_DELAY_S, Process, processes, respawns


def generate_launch_description() -> LaunchDescription:
    """Declare every argument of the table; the nodes follow when their values are known."""
    declared = [
        DeclareLaunchArgument(
            argument.name,
            default_value=argument.text,
            description=argument.description,
            choices=list(argument.choices) or None,
        )
        for argument in ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[Action]:
    given = {a.name: LaunchConfiguration(a.name).perform(context) for a in ARGUMENTS}
    return [_action(process, respawns(given)) for process in processes(given)]


def _action(process: Process, respawn: bool) -> Action:
    ending = {"output": "both", "respawn": respawn, "respawn_delay": RESPAWN_DELAY_S}
    if process.required and not respawn:
        ending["on_exit"] = [Shutdown(reason=f"{process.name} ended")]
    if process.node is None:
        return ExecuteProcess(cmd=list(process.command), name=process.name, **ending)
    return Node(
        package="vilp_ros",
        executable=process.node.executable,
        name=process.name,
        namespace=process.namespace,
        parameters=[
            process.params_file,
            # Typed, or launch would read the text "1" as a number.
            {k: ParameterValue(v, value_type=type(v)) for k, v in process.parameters.items()},
        ],
        remappings=list(process.node.remappings),
        ros_arguments=["--log-level", process.log_level],
        **ending,
    )
