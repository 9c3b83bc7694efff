#!/usr/bin/env bash
# tests/device/vm.sh COMMAND ARGUMENT …: run a command where there is a V4L2 camera, and return its exit code.
#
# A virtual machine with Debian's kernel, whose driver `vivid` is a camera with everything but a lens: formats, sizes,
# rates, a second node for metadata, and it can be unplugged. Its root is this computer's own, read-only, so that the
# command finds its Python and its files at their places; /run and /tmp are its own, $CACHE can be written.
# Needs Debian on x86-64, and root once for the packages. Without hardware help (ACCEL=kvm where it works) all is some
# twenty times slower than outside: the machine is up after about a minute.
set -euo pipefail
[[ $# -gt 0 ]] || { sed -n '2p' "$0" | cut -c3- >&2; exit 2; }
cd "$(dirname "$0")/../.."
CACHE=${CACHE:-$PWD/.cache/vm}
mkdir -p "$CACHE"

missing=()
for pair in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static modprobe:kmod cpio:cpio; do
    PATH="$PATH:/sbin:/usr/sbin" command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
if ((${#missing[@]})); then
    ((EUID == 0)) || { echo "missing: sudo apt-get install ${missing[*]}" >&2; exit 1; }
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
fi

# Debian's kernel with its modules, unpacked beside the system's own
if [[ ! -e $CACHE/kernel/ready ]]; then
    rm -rf "$CACHE/kernel" && mkdir -p "$CACHE/kernel"
    package=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image-[0-9]/ {print $2; exit}')
    (cd "$CACHE/kernel" && apt-get download -qq "$package" && dpkg -x ./*.deb . && rm ./*.deb)
    PATH="$PATH:/sbin:/usr/sbin" depmod -b "$CACHE/kernel" "$(ls "$CACHE/kernel/lib/modules")"
    touch "$CACHE/kernel/ready"
fi
release=$(ls "$CACHE/kernel/lib/modules")

# the first steps: the modules that reach this computer's files, then on to them
first=$CACHE/first
rm -rf "$first" && mkdir -p "$first"/{bin,modules,root}
cp "$(command -v busybox)" "$first/bin/busybox"
ln -s busybox "$first/bin/sh"
for module in virtio_pci 9pnet_virtio 9p; do
    PATH="$PATH:/sbin:/usr/sbin" modprobe -d "$CACHE/kernel" -S "$release" --show-depends "$module"
done | awk '/^insmod/ && !seen[$2]++ {print $2}' | while read -r file; do
    number=$((${number:-10} + 1))
    cp "$file" "$first/modules/$number-${file##*/}"
done
cat >"$first/init" <<END
#!/bin/sh
for module in /modules/*; do /bin/busybox insmod \$module; done
share="/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000"
\$share,cache=loose,ro root /root
\$share work /root$CACHE
exec /bin/busybox switch_root /root $CACHE/second
END
cat >"$CACHE/second" <<END
#!/bin/bash
export PATH=$PATH:/sbin:/usr/sbin HOME=/root PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/shm; for place in /dev/shm /run /tmp; do mount -t tmpfs tmp \$place; done
modprobe -d $CACHE/kernel vivid n_devs=1 node_types=0x20001
cd $PWD
echo "up after \$(cut -d' ' -f1 /proc/uptime) s with Linux \$(uname -r)"
$(printf '%q ' "$@") </dev/null
echo \$? >$CACHE/exit
sync; echo o >/proc/sysrq-trigger; sleep 60
END
chmod +x "$first/init" "$CACHE/second"
(cd "$first" && find . | cpio --quiet -o -H newc | gzip -1) >"$CACHE/initrd"

echo 255 >"$CACHE/exit"
timeout "${LIMIT:-1200}" qemu-system-x86_64 -accel "${ACCEL:-tcg,thread=multi}" -cpu max -smp 2 -m 2048 \
    -nodefaults -no-reboot -display none -serial stdio \
    -kernel "$CACHE/kernel/boot/vmlinuz-$release" -initrd "$CACHE/initrd" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check" \
    -fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap \
    -device virtio-9p-pci,fsdev=root,mount_tag=root \
    -fsdev local,id=work,path="$CACHE",security_model=none,multidevs=remap \
    -device virtio-9p-pci,fsdev=work,mount_tag=work \
    -device virtio-rng-pci </dev/null | sed -u 's/\r$//; /schedule_timeout/d'
exit "$(cat "$CACHE/exit")"
