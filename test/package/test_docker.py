"""The images are built by the commands that README.md tells a person."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_ros_image_does_what_the_readme_says():
    steps = README.split("## With ROS 2")[1].split("```")[1]
    image = (ROOT / "docker" / "ros.Dockerfile").read_text()
    for command in (r"rosdep install .* -y", r"pip install .*", r"colcon build --\S+ \S+"):
        (said,) = re.findall(command, steps)
        assert said in image


def test_the_plain_image_has_what_setup_does_not_install():
    image = (ROOT / "docker" / "debian.Dockerfile").read_text()
    assert "RUN make setup" in image
    assert '["make", "demo"]' in image
