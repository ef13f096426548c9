# vilp_ros on a ROS 2 image: the steps of README.md, "With ROS 2". From the root of the checkout:
#   docker build -f docker/ros.Dockerfile -t vilp_ros .
#   docker build -f docker/ros.Dockerfile --build-arg ROS_IMAGE=ros:kilted-ros-base -t vilp_ros:kilted .
#   docker run --rm --network host vilp_ros                     # the simulated arm, until Ctrl-C
# Never built: where it was written no image of ROS 2 could be had. docker/debian.Dockerfile's steps were run.
ARG ROS_IMAGE=ros:jazzy-ros-base
FROM ${ROS_IMAGE}
SHELL ["/bin/bash", "-c"]

# The container is the environment: pip may write beside apt's packages.
ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_NO_CACHE_DIR=1 DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip libosmesa6

WORKDIR /ws
COPY . src/vilp_ros
RUN rosdep update && rosdep install --from-paths src/vilp_ros --ignore-src -y
RUN pip install diffusers safetensors openvino accelerate omegaconf rosbags ruckig imageio-ffmpeg "robosuite==1.5.2" "mujoco<3.10"
RUN source "/opt/ros/$ROS_DISTRO/setup.bash" && colcon build --packages-select vilp_ros

RUN printf '#!/bin/bash\nset -e\nsource /ws/install/setup.bash\nexec "$@"\n' >/entrypoint && chmod +x /entrypoint
ENTRYPOINT ["/entrypoint"]
CMD ["ros2", "launch", "vilp_ros", "franka_lift.launch.py"]
