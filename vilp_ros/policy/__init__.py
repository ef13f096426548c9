"""What is learned, and how a trained bundle runs. Knows neither ROS nor the simulator."""
