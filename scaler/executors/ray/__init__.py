"""The executor on a Ray cluster: `execution.run_on_ray` in the driver's process, `worker` in those of the cluster."""
