#!/bin/sh
# Make a virtual environment with the project in it: tools/environment.sh PYTHON FOLDER EXTRA
# A half-made one is never left behind as if it were whole: the file .done is written last.
set -eu

python=$1
folder=$2
extra=$3

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Maskwatch needs Python 3.11 or newer, and '$python' is not. Install it, or say which: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    package=$("$python" -c 'import sys; print(f"python{sys.version_info[0]}.{sys.version_info[1]}-venv")')
    echo "Python's venv module is incomplete here; installing $package" >&2
    if [ "$(id -u)" = 0 ]; then
        apt-get update -qq && apt-get install -y -qq "$package" >&2
    elif ! { sudo -n apt-get update -qq && sudo -n apt-get install -y -qq "$package" >&2; }; then
        echo "Cannot install it without root. Do: sudo apt-get install $package" >&2
        exit 1
    fi
fi

echo "Setting up $folder ($extra); this is done once and takes a minute or more" >&2
"$python" -m venv --clear "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$extra]"
touch "$folder/.done"
