"""Where the processes of one training meet."""

from __future__ import annotations

import os
import socket


def join_others(rank: int, port: int, n_processes: int) -> int:
    """Tell torch.distributed where they meet. Returns the port, which rank 0 chooses and the others are given."""
    if rank == 0:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        NODE_RANK="0",
        WORLD_SIZE=str(n_processes),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    return port
