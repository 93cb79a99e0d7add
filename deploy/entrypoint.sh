#!/bin/sh
# Run a command of the image. One that places workers on a Ray cluster (TUTTI_RAY_ADDRESS) has to be on a node of
# it, so this container joins first, as a node without processors of its own.
set -eu
if [ -n "${TUTTI_RAY_ADDRESS:-}" ]; then
    ray start --address "$TUTTI_RAY_ADDRESS" --num-cpus 0 --num-gpus 0 --object-store-memory 83886080 \
        --disable-usage-stats --metrics-export-port 8090 --dashboard-agent-grpc-port 8091 \
        --runtime-env-agent-port 8092 >/dev/null
fi
exec "$@"
