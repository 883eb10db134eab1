#!/bin/sh
# Makes .venv and installs the locked packages; does nothing when they are there already.
# usage: infra/setup.sh [python]    (without an argument: the newest tested Python of this machine)
set -eu
cd "$(dirname "$0")/.."

usable() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

python=${1:-}
if [ -n "$python" ]; then
    if ! usable "$python"; then
        echo "DentalHelp needs Python 3.11 or newer with venv; $python is not." >&2
        exit 2
    fi
fi

# The content of the locks, not their age: switching branches back and forth installs nothing.
wanted=$(cat requirements.txt requirements-dev.txt | cksum)
if [ -x .venv/bin/python ] && [ "$(cat .venv/.installed 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

if [ -z "$python" ]; then
    for candidate in python3.13 python3.12 python3.11 python3; do
        if usable "$candidate"; then
            python=$candidate
            break
        fi
    done
fi
if [ -z "$python" ]; then
    echo "DentalHelp needs Python 3.11 or newer with venv, and found none:" \
        "install it, or name it with PYTHON=/path/to/python3.12." >&2
    exit 2
fi

echo "Installing the packages into .venv with $("$python" --version) (once, about a minute) ..."
usable .venv/bin/python || "$python" -m venv --clear .venv
.venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check -r requirements-dev.txt
echo "$wanted" > .venv/.installed
