"""ament_python package; `make setup` installs the same lists, pinned by requirements.lock."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "vilp_ros"
SHARED = ("launch", "config", "models", "rviz")
NODES = ("sim", "observation", "planner", "controller", "recorder", "teleop", "franka_driver")

# Never `rclpy` or `sensor_msgs`: on PyPI those names are nobody's. The wheels are called ros-*, one
# ROS distribution per environment; a machine with ROS 2 needs none of them.
ROS = (
    "diagnostic-msgs geometry-msgs nav-msgs rclpy rmw-fastrtps-cpp sensor-msgs std-msgs std-srvs "
    "trajectory-msgs visualization-msgs"
)


def data_files() -> list[tuple[str, list[str]]]:
    """The ament marker and everything that belongs in share/vilp_ros, folder by folder."""
    share = Path("share", PACKAGE)
    files = {
        "share/ament_index/resource_index/packages": [f"resource/{PACKAGE}"],
        str(share): ["package.xml"],
    }
    for room in SHARED:
        for path in sorted(Path(room).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                files.setdefault(str(share / path.parent), []).append(str(path))
    return list(files.items())


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Latent planners for visuomotor control on ROS 2: LDP and VILP",
    license="Apache-2.0",
    maintainer="vilp_ros maintainers",
    maintainer_email="maintainers@users.noreply.github.com",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    data_files=data_files(),
    python_requires=">=3.10,<3.13",
    install_requires=[
        "setuptools",
        # cv-bridge breaks on numpy 2 and OpenCV 5, robosuite's make() on mujoco 3.10.
        "numpy>=1.26,<2",
        "opencv-python>=4.8,<5",
        "mujoco>=3.3,<3.10",
        "robosuite==1.5.2",
        "accelerate",
        "backports.zstd",  # chunks of bags; rosbags brings it
        "diffusers",
        "h5py",
        "imageio-ffmpeg",
        "omegaconf",
        "openvino",
        "pillow>=10.1",
        "pyyaml",
        "rich",
        "ruckig",
        "rosbags>=0.11",
        "safetensors",
        "tensorboard",
        "torch>=2.13",
        "tqdm",
        "typing-extensions",
    ],
    extras_require={
        # frankik: kinematics, for every way to a Franka; franky: libfranka, for franka_driver.
        "franka": ["franky-control>=2,<3", "frankik>=1.0.1", "websockets"],
        "ros": ["cv-bridge", *(f"ros-jazzy-{name}" for name in ROS.split())],
        "lerobot": ["av", "pyarrow<24"],  # its format; the lerobot package itself is not needed
        # pinocchio: joints to poses and back, of arms that are no Franka; with numpy < 2: 2.7.0
        "urdf": ["pin>=2.7"],
        # Of `vilp view`; later ones want numpy 2.
        "view": ["rerun-sdk==0.23.1", "pyarrow<24"],
        "cluster": ["ray>=2.52"],  # --cluster; earlier ones let in whoever reaches their ports
        "plot": ["matplotlib>=3.8"],  # the curve of `vilp eval transfer`
        "dev": [
            "av",
            "colcon-common-extensions",
            "frankik>=1.0.1",
            "franky-control>=2,<3",
            "hypothesis",
            "import-linter",
            "mcap",  # a reader of bags that is not ours
            "mcap-ros2-support",
            "mypy",
            "pin>=2.7",
            "psutil",
            "pyarrow<24",  # later ones want numpy 2
            "pylibfranka",
            "pytest",
            "pytest-timeout",
            "pytest-xdist",
            "ray>=2.52",
            "rerun-sdk==0.23.1",
            "ruff",
            "scipy",
            "types-pyyaml",
        ],
    },
    entry_points={
        "console_scripts": [
            "vilp = vilp_ros.__main__:main",
            *(f"{name}_node = {PACKAGE}.nodes.__main__:main" for name in NODES),
        ],
    },
    zip_safe=False,
)
