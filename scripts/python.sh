#!/bin/sh
# Print a Python 3.11 or newer that has venv, or say what is missing. $PYTHON wins.
for python in "${PYTHON:-}" python3.14 python3.13 python3.12 python3.11 python3 python; do
    [ -n "$python" ] || continue
    command -v "$python" >/dev/null 2>&1 || continue
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    found=$python
    "$python" -c 'import ensurepip, venv' 2>/dev/null || continue
    echo "$python"
    exit 0
done
if [ -n "${found:-}" ]; then
    echo "$found has no venv module: install it (Debian, Ubuntu, WSL2: apt install python3-venv), then try again" >&2
else
    echo "Python 3.11 or newer was not found: install it (apt install python3 python3-venv, or brew install python), or set PYTHON" >&2
fi
exit 1
