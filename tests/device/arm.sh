#!/usr/bin/env bash
# tests/device/arm.sh SUITE PYTHON …: check on emulated 64-bit Arm what a Raspberry Pi does; 1 where a check fails.
#
# SUITE is bookworm or trixie; each PYTHON has the project on this computer, and what its runtime answers must be
# answered on Arm. Debian for arm64 is made below $CACHE once, with the packages that the README names; the project is
# installed in it anew each time, from wheels alone, and asked on a Pi 4's processor and on a Pi 5's.
# Needs root, Debian on x86-64 and a network. All mounts lie in a namespace of this run and end with it, however it
# ends: nobody else sees them, and $CACHE can be removed at any time. What stays is that Arm programs can be started.
set -euo pipefail
[[ $# -gt 1 ]] || { sed -n '2p' "$0" | cut -c3- >&2; exit 2; }
((EUID == 0)) || exec sudo CACHE="${CACHE:-}" "$0" "$@"
cd "$(dirname "$0")/../.."
CACHE=${CACHE:-$PWD/.cache/arm}
suite=$1
place=$CACHE/$suite
root=$place/root

if [[ -z ${ARM_INSIDE:-} ]]; then
    trap 'exit 130' INT
    missing=()
    for pair in mmdebstrap:mmdebstrap qemu-aarch64-static:qemu-user-static; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    if ((${#missing[@]})); then
        DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
    fi
    mkdir -p "$place"
    # killed with this script, and everything in it with it
    ARM_INSIDE=1 setpriv --pdeathsig KILL flock --no-fork "$place/lock" \
        unshare --mount --pid --fork --kill-child tests/device/arm.sh "$@"
    exit
fi
trap 'exit 130' INT TERM

# Arm programs are started by qemu; on a running Debian its package sees to that
formats=/proc/sys/fs/binfmt_misc
[[ -e $formats/status ]] || mount -t binfmt_misc binfmt_misc $formats
[[ -e $formats/qemu-aarch64 ]] || cat /usr/lib/binfmt.d/qemu-aarch64.conf >$formats/register

if [[ ! -e $place/ready ]]; then
    echo "making Debian $suite for arm64"
    rm -rf "$root"
    # unpacked by this computer; dpkg, emulated, would set up what nothing here needs for a quarter of an hour
    # shellcheck disable=SC2016 # $1 is mmdebstrap's
    mmdebstrap --quiet --architectures=arm64 --variant=extract \
        --setup-hook='for at in bin lib sbin; do mkdir -p "$1/usr/$at"; ln -s "usr/$at" "$1/$at"; done' \
        --include='?essential' --include=python3,python3-venv,libgl1,libglib2.0-0,ca-certificates "$suite" "$root"
    cp "$root"/usr/share/base-passwd/passwd.master "$root/etc/passwd"
    cp "$root"/usr/share/base-passwd/group.master "$root/etc/group"
    touch "$place/ready"
fi

# what this computer answers
rm -rf "$place/given" && mkdir "$place/given"
for python in "${@:2}"; do
    PYTHONDONTWRITEBYTECODE=1 "$python" tests/device/check_arm.py record "$place/given"
done

# a machine's places; the processor's features are read from /proc/cpuinfo, which is this computer's otherwise
mount -t proc proc "$root/proc"
touch "$place/cpuinfo" && mount --bind "$place/cpuinfo" "$root/proc/cpuinfo"
mount -t sysfs -o ro sys "$root/sys"
for at in dev/shm run srv tmp; do mkdir -p "$root/$at" && mount -t tmpfs tmp "$root/$at"; done
mkdir -p "$root/mnt" && mount --bind -o ro "$place/given" "$root/mnt"
cp --remove-destination --dereference /etc/resolv.conf "$root/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
git -c safe.directory="$PWD" ls-files -z --cached --others --exclude-standard |
    tar -c --null --files-from=- --ignore-failed-read | tar -x -C "$root/srv"

# cpuinfo PART VARIANT REVISION FEATURE …: what Linux tells of four cores
cpuinfo() {
    for core in 0 1 2 3; do
        printf '%s\t: %s\n' processor $core BogoMIPS 108.00 Features "${*:4}" 'CPU implementer' 0x41 \
            'CPU architecture' 8 'CPU variant' "$2" 'CPU part' "$1" 'CPU revision' "$3"
        echo
    done >"$place/cpuinfo"
}

# arm CPU COMMAND ARGUMENT …: run a command in the checkout's copy there
arm() {
    case $1 in
    cortex-a72) cpuinfo 0xd08 0x0 3 fp asimd evtstrm crc32 cpuid ;;
    cortex-a76) cpuinfo 0xd0b 0x4 1 fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm \
        lrcpc dcpop asimddp ;;
    esac
    chroot "$root" /usr/bin/env --ignore-environment --chdir=/srv QEMU_CPU="$1" LANG=C.UTF-8 HOME=/root \
        PATH=/usr/sbin:/usr/bin PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DEFAULT_TIMEOUT=180 \
        PIP_ONLY_BINARY=:all: PIP_DISABLE_PIP_VERSION_CHECK=1 ${https_proxy:+"https_proxy=$https_proxy"} "${@:2}"
}

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
