#!/bin/sh
# Makes a folder from which Tetkik installs without a network: a wheel of everything, and requirements.txt,
# which names each with its SHA-256. Run it on a machine with a network, the same system, processor and Python as
# the one that it is for.
#
#   deploy/wheelhouse.sh FOLDER [WHEEL]
#
# WHEEL is that of a release; without it the wheel is built from this checkout. Environment: PYTHON (python3),
# EXTRAS (integrations,postgres), CONSTRAINTS (deploy/constraints.txt; /dev/null takes the newest of everything).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?name the folder to make}
extras=${EXTRAS:-integrations,postgres}
python=${PYTHON:-python3}

mkdir "$out"
"$python" -m pip wheel --quiet --prefer-binary --wheel-dir "$out" \
    --constraint "${CONSTRAINTS:-$here/constraints.txt}" "${2:-$here/..}[$extras]" pip
cp "$here/install.py" "$out"

cd "$out"
{
    # install.py refuses another Python than this one.
    "$python" -c 'import platform as p; print("#", p.python_implementation(), *p.python_version_tuple()[:2], p.machine())'
    for wheel in *.whl; do
        name=${wheel%%-*} rest=${wheel#*-}
        [ "$name" = tetkik ] && name="tetkik[$extras]"
        [ "$name" = pip ] && name="# pip" # runs from its wheel, and is not installed
        printf '%s==%s --hash=sha256:%s\n' "$name" "${rest%%-*}" "$(sha256sum "$wheel" | cut -d ' ' -f 1)"
    done
} >requirements.txt
sha256sum requirements.txt install.py >SHA256SUMS
