"""Names in a contract, of things and of topics, and latencies: what several parts read."""

from __future__ import annotations

from vilp_ros.contract.readers import number, text

a_name = text(r"[A-Za-z_]\w*", "a name of letters, digits and underscores")
a_frame = text(
    r"[A-Za-z_/][\w/.-]*", "a name of letters, digits, underscores and / . -, as a URDF has it"
)
a_topic = text(r"(/|~/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", "a topic name such as 'agentview/image_raw'")
a_latency = number(0, 1, "s")
