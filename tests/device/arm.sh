#!/usr/bin/env bash
# tests/device/arm.sh SUITE PYTHON …: check on emulated 64-bit Arm what a Raspberry Pi does; 1 where a check fails.
#
# SUITE is bookworm or trixie; each PYTHON has the project on this computer, and what its runtime answers must be
# answered on Arm. Debian for arm64 has the packages that the README names; the project is installed in it anew each
# time, from wheels alone, and asked on a Pi 4's processor and on a Pi 5's.
# Needs root, Debian on x86-64 and a network.
set -euo pipefail
[[ $# -gt 1 ]] || { sed -n '2p' "$0" | cut -c3- >&2; exit 2; }
((EUID == 0)) || exec sudo CACHE="${CACHE:-}" "$0" "$@"
cd "$(dirname "$0")/../.."
CACHE=${CACHE:-$PWD/.cache/arm}
suite=$1
place=$CACHE/$suite
root=$place/root
# shellcheck source=tests/device/arm-machine.sh
source tests/device/arm-machine.sh
need mmdebstrap:mmdebstrap qemu-aarch64-static:qemu-user-static
in_own_namespace tests/device/arm.sh "$@"
make_root "$suite"

# what this computer answers
rm -rf "$place/given" && mkdir "$place/given"
for python in "${@:2}"; do
    PYTHONDONTWRITEBYTECODE=1 "$python" tests/device/check_arm.py record "$place/given"
done

mount_root "$place/given"

status=0
python=/root/venv/bin/python
echo "== $suite: pip install '.[web]'"
arm cortex-a72 python3 -m venv --clear /root/venv
arm cortex-a72 $python -m pip install --quiet '.[web]'
for cpu in cortex-a72 cortex-a76; do
    echo "== $suite, $cpu: what this computer answers"
    arm $cpu $python tests/device/check_arm.py compare /mnt || status=1
done
echo "== $suite, cortex-a72: other commands"
arm cortex-a72 $python tests/device/check_arm.py use || status=1
echo "== $suite, cortex-a72: tests"
arm cortex-a72 $python -m pip install --quiet --editable . pytest pytest-timeout hypothesis
tests=(tests/edge/{faces/test_{crop,patch_follower,tracker},expression/test_{classifier,ensemble,smoother}}.py
    tests/edge/{test_preprocess,tflite/test_{card,interpreter,quantize},commands/test_predict,device/test_thermal}.py)
arm cortex-a72 $python -m pytest --quiet -p no:cacheprovider -m 'not tensorflow and not slow' "${tests[@]}" || status=1

# the last tflite-runtime was built for Python 3.11 and numpy 1
if [[ $suite == bookworm && -e $place/given/tflite-runtime.json ]]; then
    echo "== $suite, cortex-a72: tflite-runtime"
    arm cortex-a72 python3 -m venv --clear --without-pip /root/venv-tflite
    pip=("$python" -m pip --python /root/venv-tflite/bin/python install --quiet)
    arm cortex-a72 "${pip[@]}" tflite-runtime 'numpy<2' 'opencv-python<5' 'click>=8.2'
    arm cortex-a72 "${pip[@]}" --no-deps .
    arm cortex-a72 /root/venv-tflite/bin/python tests/device/check_arm.py compare /mnt || status=1
fi
((status)) && echo "== $suite: a check failed" || echo "== $suite: all checks passed"
exit $status
