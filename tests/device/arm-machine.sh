# What arm.sh and instructions.sh begin with, sourced by both: Debian for arm64, and a Raspberry Pi's processors.
#
# Debian for arm64 is made below $CACHE once. All mounts lie in a namespace of one run and end with it, however it ends:
# nobody else sees them, and $CACHE can be removed at any time. What stays is that Arm programs can be started.
# shellcheck shell=bash disable=SC2154 # `place` and `root` are set by the script that sources this one
# shellcheck source=tests/device/machine.sh
source tests/device/machine.sh

# in_own_namespace SCRIPT ARGUMENT …: start the script again in a mount namespace; it ends with that run's exit code
in_own_namespace() {
    [[ -z ${ARM_INSIDE:-} ]] || { trap 'exit 130' INT TERM; return 0; }
    trap 'exit 130' INT
    mkdir -p "$place"
    # killed with this script, and everything in it with it
    local status=0
    ARM_INSIDE=1 setpriv --pdeathsig KILL flock --no-fork "$place/lock" \
        unshare --mount --pid --fork --kill-child "$@" || status=$?
    exit $status
}

# make_root SUITE: Debian in $root, unless it is there
make_root() {
    # Arm programs are started by qemu; on a running Debian its package sees to that
    local formats=/proc/sys/fs/binfmt_misc
    [[ -e $formats/status ]] || mount -t binfmt_misc binfmt_misc $formats
    [[ -e $formats/qemu-aarch64 ]] || cat /usr/lib/binfmt.d/qemu-aarch64.conf >$formats/register
    [[ ! -e $place/ready ]] || return 0
    echo "making Debian $1 for arm64"
    rm -rf "$root"
    # unpacked by this computer; dpkg, emulated, would set up what nothing here needs for a quarter of an hour
    # shellcheck disable=SC2016 # $1 is mmdebstrap's
    mmdebstrap --quiet --architectures=arm64 --variant=extract \
        --setup-hook='for at in bin lib sbin; do mkdir -p "$1/usr/$at"; ln -s "usr/$at" "$1/$at"; done' \
        --include='?essential' --include=python3,python3-venv,libgl1,libglib2.0-0,ca-certificates "$1" "$root"
    cp "$root"/usr/share/base-passwd/passwd.master "$root/etc/passwd"
    cp "$root"/usr/share/base-passwd/group.master "$root/etc/group"
    touch "$place/ready"
}

# mount_root GIVEN: a machine's places in $root; a copy of the checkout at /srv, the folder GIVEN at /mnt
mount_root() {
    # the processor's features are read from /proc/cpuinfo, which is this computer's otherwise
    mount -t proc proc "$root/proc"
    touch "$place/cpuinfo" && mount --bind "$place/cpuinfo" "$root/proc/cpuinfo"
    mount -t sysfs -o ro sys "$root/sys"
    local at
    for at in dev/shm run srv tmp; do mkdir -p "$root/$at" && mount -t tmpfs tmp "$root/$at"; done
    mkdir -p "$root/mnt" && mount --bind -o ro "$1" "$root/mnt"
    cp --remove-destination --dereference /etc/resolv.conf "$root/etc/"
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    git -c safe.directory="$PWD" ls-files -z --cached --others --exclude-standard |
        tar -c --null --files-from=- --ignore-failed-read | tar -x -C "$root/srv"
}

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
    cortex-a53) cpuinfo 0xd03 0x0 4 fp asimd evtstrm crc32 cpuid ;;
    cortex-a72) cpuinfo 0xd08 0x0 3 fp asimd evtstrm crc32 cpuid ;;
    cortex-a76) cpuinfo 0xd0b 0x4 1 fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm \
        lrcpc dcpop asimddp ;;
    esac
    chroot "$root" /usr/bin/env --ignore-environment --chdir=/srv QEMU_CPU="$1" LANG=C.UTF-8 HOME=/root \
        PATH=/usr/sbin:/usr/bin PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DEFAULT_TIMEOUT=180 \
        PIP_ONLY_BINARY=:all: PIP_DISABLE_PIP_VERSION_CHECK=1 ${https_proxy:+"https_proxy=$https_proxy"} "${@:2}"
}
