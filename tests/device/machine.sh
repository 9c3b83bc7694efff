# What both virtual machines begin with, sourced by vm.sh and debian.sh: packages, the first steps, the machine itself.
# arm-machine.sh needs the packages alone.
# shellcheck shell=bash
export PATH="$PATH:/sbin:/usr/sbin"

# need COMMAND:PACKAGE …: install what is missing of it; COMMAND may be the path of a file
need() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || [[ -e ${pair%%:*} ]] || missing+=("${pair#*:}")
    done
    ((${#missing[@]})) || return 0
    ((EUID == 0)) || { echo "missing: sudo apt-get install ${missing[*]}" >&2; exit 1; }
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
}

# first_steps ROOT RELEASE MODULE …: $CACHE/initrd, with these of the kernel's modules below ROOT, busybox, and an /init
# that loads them and goes on with the lines on stdin; $share there mounts a folder of this computer by its name
first_steps() {
    local first=$CACHE/first file number=10 module
    rm -rf "$first" && mkdir -p "$first"/{bin,modules,root,lower,upper}
    cp "$(command -v busybox)" "$first/bin/busybox"
    ln -s busybox "$first/bin/sh"
    for module in "${@:3}"; do
        modprobe -d "$1" -S "$2" --show-depends "$module"
    done | awk '/^insmod/ && !seen[$2]++ {print $2}' >"$CACHE/modules"
    while read -r file; do
        number=$((number + 1))
        case $file in
        *.xz) xz --decompress --stdout "$file" >"$first/modules/$number-$(basename "${file%.xz}")" ;;
        *) cp "$file" "$first/modules/$number-${file##*/}" ;;
        esac
    done <"$CACHE/modules"
    {
        echo '#!/bin/sh'
        echo "for module in /modules/*; do /bin/busybox insmod \$module; done"
        echo 'share="/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000"'
        cat
    } >"$first/init"
    chmod +x "$first/init"
    (cd "$first" && find . | cpio --quiet -o -H newc | gzip -1) >"$CACHE/initrd"
}

# boot KERNEL WORDS NAME=FOLDER[,readonly=on] …: until the machine is off; its exit code is what it left in $CACHE/exit
boot() {
    local each shares=()
    for each in "${@:3}"; do
        shares+=(-fsdev "local,id=${each%%=*},security_model=none,multidevs=remap,path=${each#*=}"
            -device "virtio-9p-pci,fsdev=${each%%=*},mount_tag=${each%%=*}")
    done
    echo 255 >"$CACHE/exit"
    timeout "${LIMIT:-1200}" qemu-system-x86_64 -accel "${ACCEL:-tcg,thread=multi}" -cpu max -smp 2 -m 2048 \
        -nodefaults -no-reboot -display none -serial stdio -kernel "$1" -initrd "$CACHE/initrd" \
        -append "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check $2" "${shares[@]}" \
        -device virtio-rng-pci </dev/null | sed -u 's/\r$//; s/^\x1b\[!p.*\x1b\[?7h//; /schedule_timeout/d'
    return "$(cat "$CACHE/exit")"
}
