"""A Ray cluster of several nodes on this machine, as a program: `python -m tests.executors.cluster NODES SLOTS`.

The head has no slots and NODES others have SLOTS each. It prints the head's address, then does what it reads: "remove"
ends a node as if it had lost power, "add" starts one; it ends with its input.
"""

import logging
import sys

from ray.cluster_utils import Cluster

_STORE = 80 * 2**20

if __name__ == "__main__":
    logging.getLogger("ray").setLevel(logging.ERROR)
    nodes, slots = map(int, sys.argv[1:])
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": _STORE, "include_dashboard": False}
    )
    for _ in range(nodes):
        cluster.add_node(num_cpus=slots, object_store_memory=_STORE)
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "remove":
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        elif line.strip() == "add":
            cluster.add_node(num_cpus=slots, object_store_memory=_STORE)
        print("done", flush=True)
    cluster.shutdown()
