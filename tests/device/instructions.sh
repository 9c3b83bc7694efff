#!/usr/bin/env bash
# tests/device/instructions.sh compare|record PYTHON: count what detector, models and frames execute on emulated Arm.
#
# Counts instructions on a Cortex-A53, A72 and A76 with Debian 12, compares them with those of
# benchmarks/results/arm-instructions.json, or writes that file. PYTHON has the project on this computer.
# qemu-aarch64 of qemu-user counts by a plugin, which gcc with libc6-dev makes of instruction_counter.c.
# Needs root, Debian 12 on x86-64 and a network.
set -euo pipefail
[[ $# -eq 2 ]] || { sed -n '2p' "$0" | cut -c3- >&2; exit 2; }
((EUID == 0)) || exec sudo CACHE="${CACHE:-}" "$0" "$@"
cd "$(dirname "$0")/../.."
CACHE=${CACHE:-$PWD/.cache/arm}
place=$CACHE/bookworm
root=$place/root
# shellcheck source=tests/device/arm-machine.sh
source tests/device/arm-machine.sh
need mmdebstrap:mmdebstrap qemu-aarch64-static:qemu-user-static qemu-aarch64:qemu-user gcc:gcc \
    /usr/include/stdio.h:libc6-dev
emulator=$(command -v qemu-aarch64)
if ! ldd "$emulator" >/dev/null 2>&1; then
    echo "instructions are not counted: $emulator takes no plugins, as it is linked statically; Debian 12's does" >&2
    exit 1
fi
in_own_namespace tests/device/instructions.sh "$@"
make_root bookworm

# the emulator, its libraries and its plugin, which run as this computer's programs in the root
rm -rf "$place/given" "$place/counted" && mkdir -p "$place/given/emulator" "$place/counted"
# shellcheck disable=SC2046 # a word per library
cp "$emulator" $(ldd "$emulator" | grep -o '/[^ ]*') "$place/given/emulator/"
gcc -shared -fPIC -O2 -o "$place/given/emulator/counter.so" tests/device/instruction_counter.c
export PYTHONDONTWRITEBYTECODE=1 EMULATOR
EMULATOR=$("$emulator" --version | sed -n '1s/ version//p')
"$2" tests/device/check_instructions.py clips "$place/given/clips.npz"
"$2" -c 'import configparser
setup = configparser.ConfigParser()
setup.read("setup.cfg")
print(setup["options"]["install_requires"])' >"$place/given/requirements.txt"
mount_root "$place/given"

# pip, emulated, takes minutes: it installs what has newer versions, and the checkout is imported from where it is
python=/root/venv-counted/bin/python
echo "== bookworm: pip install"
[[ -e $root/root/venv-counted/bin/pip ]] || arm cortex-a72 python3 -m venv /root/venv-counted
arm cortex-a72 $python -m pip install --quiet --upgrade -r /mnt/requirements.txt
ln -s /srv "$root/tmp/fer_edge"
for cpu in cortex-a53 cortex-a72 cortex-a76; do
    echo "== bookworm, $cpu: instructions"
    # -E: the emulated program's environment; with a seed, sets have the same order in every run
    arm $cpu /mnt/emulator/ld-linux-x86-64.so.2 --library-path /mnt/emulator /mnt/emulator/qemu-aarch64 \
        -plugin /mnt/emulator/counter.so,out=/tmp/counts -E PYTHONHASHSEED=0,PYTHONPATH=/tmp $python \
        tests/device/count_instructions.py /mnt/clips.npz /tmp/counts /tmp/result.json
    cp "$root/tmp/result.json" "$place/counted/$cpu.json"
done
"$2" tests/device/check_instructions.py "$1" "$place/counted"
