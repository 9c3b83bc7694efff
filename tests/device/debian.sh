#!/usr/bin/env bash
# tests/device/debian.sh COMMAND ARGUMENT …: run a command on a Debian 13 with cameras, and return its exit code.
#
# A virtual machine with a root of its own, made below $CACHE once: systemd and udev, apt's libcamera and OpenCV, which
# has GStreamer, and PyPI's picamera2. Its cameras are drivers without hardware: `vivid`, a V4L2 camera, and `vimc`, a
# sensor behind a pipeline, which Debian's kernel lacks and which is built from Debian's source for it. The checkout is
# at /srv/fer_edge; the command finds it as /opt/venv/bin/python's fer_edge. What is written there ends with the machine.
# Needs root, Debian on x86-64 and a network. Without hardware help (ACCEL=kvm where it works) it is up after a minute.
set -euo pipefail
[[ $# -gt 0 ]] || { sed -n '2p' "$0" | cut -c3- >&2; exit 2; }
((EUID == 0)) || exec sudo CACHE="${CACHE:-}" ACCEL="${ACCEL:-}" LIMIT="${LIMIT:-}" "$0" "$@"
cd "$(dirname "$0")/../.."
CACHE=${CACHE:-$PWD/.cache/debian}
LIMIT=${LIMIT:-3600}
mkdir -p "$CACHE"
# shellcheck source=tests/device/machine.sh
source tests/device/machine.sh
need qemu-system-x86_64:qemu-system-x86 busybox:busybox-static modprobe:kmod cpio:cpio xz:xz-utils mmdebstrap:mmdebstrap

root=$CACHE/root
if [[ ! -e $CACHE/ready ]]; then
    echo "making Debian 13 with systemd, libcamera, picamera2, GStreamer and vimc: some minutes and 2.5 GB"
    rm -rf "$root"
    packages=(systemd-sysv udev kmod ca-certificates linux-image-amd64 linux-headers-amd64 linux-source gcc make xz-utils
        python3-venv python3-dev libcap-dev python3-opencv python3-libcamera libcamera-ipa gstreamer1.0-plugins-base
        gstreamer1.0-plugins-good)
    # shellcheck disable=SC2016 # $1 is mmdebstrap's
    mmdebstrap --quiet --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" \
        --customize-hook='copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs' \
        --customize-hook='copy-in tests/device/debian-root.sh /root' \
        --customize-hook='chroot "$1" bash /root/debian-root.sh' trixie "$root"
    touch "$CACHE/ready"
fi
release=$(ls "$root/lib/modules")

# what is written lies in memory, over the root
first_steps "$root" "$release" virtio_pci 9pnet_virtio 9p overlay <<'END'
$share,cache=loose,ro root /lower
/bin/busybox mount -t tmpfs -o size=1g upper /upper
/bin/busybox mkdir /upper/files /upper/work
/bin/busybox mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work over /root
/bin/busybox mkdir -p /root/srv/fer_edge /root/mnt/work
$share,cache=loose,ro checkout /root/srv/fer_edge
$share work /root/mnt/work
exec /bin/busybox switch_root /root /lib/systemd/systemd
END
cat >"$CACHE/command" <<END
export PYTHONDONTWRITEBYTECODE=1 HOME=/root
cd /srv/fer_edge
echo "up after \$(cut -d' ' -f1 /proc/uptime) s with Linux \$(uname -r)"
$(printf '%q ' "$@") </dev/null
echo \$? >/mnt/work/exit
END
boot "$root/boot/vmlinuz-$release" systemd.unit=command.service \
    root="$root",readonly=on checkout="$PWD",readonly=on work="$CACHE"
