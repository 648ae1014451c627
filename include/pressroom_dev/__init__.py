"""Development tools, not deployed: the local runner, the simulator of Metricool, the demonstrations."""
