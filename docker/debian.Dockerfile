# vilp_ros without ROS on the machine: Debian or Ubuntu, and the ROS 2 wheels from PyPI. From the root of the checkout:
#   docker build -f docker/debian.Dockerfile -t vilp_ros .
#   docker run --rm -v "$PWD/runs:/vilp_ros/runs" vilp_ros      # `make demo`, into runs/
ARG IMAGE=debian:12-slim
FROM ${IMAGE}

ENV PIP_NO_CACHE_DIR=1
RUN apt-get update && apt-get install -y --no-install-recommends make ca-certificates python3-venv

WORKDIR /vilp_ros
COPY . .
RUN make setup
CMD ["make", "demo"]
