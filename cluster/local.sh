#!/bin/sh
# A real Ray cluster on this machine; `cluster/local.sh --help` says what it can do.
here=$(cd "$(dirname "$0")/.." && pwd)
PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-$here/.venv/bin/python}" -m cluster.local "$@"
