#!/bin/sh
# Install the requirements file $1 into .venv, which is made when needed; the file $2 marks success.
set -eu

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    found=
    for candidate in python3.11 python3 python3.12 python3.13; do
        # Run, not only looked for: a version manager's stub can be there without the version.
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            found=$candidate
            break
        fi
    done
    if [ -z "$found" ]; then
        echo "error: no Python 3.11 or newer found. Install one, then run make again." >&2
        exit 2
    fi
    echo "Creating .venv with $("$found" --version)."
    if ! "$found" -m venv --clear .venv; then
        echo "error: $found cannot make a virtual environment. On Debian and Ubuntu install" \
            "python3-venv, then run make again." >&2
        exit 2
    fi
fi

echo "Installing $1 (the first time this takes a few minutes)."
# Byte code is written when a module is first used: for all modules it takes a minute or two.
if ! .venv/bin/python -m pip install --disable-pip-version-check --no-compile -r "$1"; then
    echo "error: the packages of $1 could not be installed; pip's reason is above. Check the" \
        "network and the free space (about 3 GB), then run make again." >&2
    exit 2
fi
touch "$2"
