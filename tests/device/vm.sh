#!/usr/bin/env bash
# tests/device/vm.sh COMMAND ARGUMENT …: run a command where there is a V4L2 camera, and return its exit code.
#
# A virtual machine with Debian's kernel, whose driver `vivid` is a camera with everything but a lens: formats, sizes,
# rates, a second node for metadata, and it can be unplugged. $LOOPBACK is the module of a second camera, which gives
# what is written to it. The machine's root is this computer's own, read-only, so that the command finds its Python and
# its files at their places; $CACHE can be written. /dev/shm, /run and /tmp are its own, but for what the command needs of
# this computer's: a checkout or a Python may lie there.
# Needs Debian on x86-64, and root once for the packages. Without hardware help (ACCEL=kvm where it works) all is some
# twenty times slower than outside: the machine is up after about a minute.
set -euo pipefail
[[ $# -gt 0 ]] || { sed -n '2p' "$0" | cut -c3- >&2; exit 2; }
cd "$(dirname "$0")/../.."
CACHE=${CACHE:-$PWD/.cache/vm}
mkdir -p "$CACHE"
# shellcheck source=tests/device/machine.sh
source tests/device/machine.sh
# shellcheck source=tests/device/loopback.sh
source tests/device/loopback.sh
need qemu-system-x86_64:qemu-system-x86 busybox:busybox-static modprobe:kmod cpio:cpio

# Debian's kernel with its modules, unpacked beside the system's own
if [[ ! -e $CACHE/kernel/ready ]]; then
    rm -rf "$CACHE/kernel" && mkdir -p "$CACHE/kernel"
    package=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image-[0-9]/ {print $2; exit}')
    (cd "$CACHE/kernel" && apt-get download -qq "$package" && dpkg -x ./*.deb . && rm ./*.deb)
    depmod -b "$CACHE/kernel" "$(ls "$CACHE/kernel/lib/modules")"
    touch "$CACHE/kernel/ready"
fi
release=$(ls "$CACHE/kernel/lib/modules")
build_loopback "$release"

# needed COMMAND: the folders without which it cannot run: the checkout, the cache, where it lies, a Python's packages
needed() {
    local program
    printf '%s\n' "$PWD" "$CACHE"
    program=$(realpath --no-symlinks "$(command -v "$1")")
    dirname "$program" "$(readlink --canonicalize "$program")"
    [[ ${program##*/} != python* ]] ||
        "$program" -c 'import os, sys; print(*filter(os.path.isdir, [sys.prefix, sys.base_prefix, *sys.path]), sep="\n")'
}

# the parts of it that the machine's own file systems would cover; what lies in one of them comes with it
covered=() last=-
while read -r folder; do
    case $folder/ in
    "$last"/*) ;;
    /dev/shm/* | /run/* | /tmp/*) covered+=("$folder") last=$folder ;;
    /dev/* | /proc/* | /sys/*)
        echo "$folder is not reached from the virtual machine, whose /dev, /proc and /sys are its own" >&2
        exit 2
        ;;
    esac
done < <(needed "$1" | sort --unique)

# the modules that reach this computer's files, then on to them
{
    cat <<END
\$share,cache=loose,ro root /lower
/bin/busybox mount -o bind /lower /root
/bin/busybox mount -t devtmpfs dev /root/dev
/bin/busybox mkdir -p /root/dev/shm
for place in dev/shm run tmp; do /bin/busybox mount -t tmpfs tmp /root/\$place; done
END
    for folder in "${covered[@]}"; do
        printf '/bin/busybox mkdir -p %q\n/bin/busybox mount -o bind %q %q\n' "/root$folder" "/lower$folder" "/root$folder"
    done
    # shellcheck disable=SC2016 # $share is the machine's
    printf '$share work %q\nexec /bin/busybox switch_root /root %q\n' "/root$CACHE" "$CACHE/second"
} | first_steps "$CACHE/kernel" "$release" virtio_pci 9pnet_virtio 9p
cat >"$CACHE/second" <<END
#!/bin/bash
export PATH=$PATH HOME=/root PYTHONDONTWRITEBYTECODE=1 LOOPBACK=$CACHE/loopback/v4l2loopback.ko
mount -t proc proc /proc; mount -t sysfs sys /sys
modprobe -d $CACHE/kernel vivid n_devs=1 node_types=0x20001
cd $PWD
echo "up after \$(cut -d' ' -f1 /proc/uptime) s with Linux \$(uname -r)"
$(printf '%q ' "$@") </dev/null
echo \$? >$CACHE/exit
sync; echo o >/proc/sysrq-trigger; while :; do :; done # no file can be read any more
END
chmod +x "$CACHE/second"

boot "$CACHE/kernel/boot/vmlinuz-$release" '' root=/,readonly=on work="$CACHE"
