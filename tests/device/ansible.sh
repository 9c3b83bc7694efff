#!/usr/bin/env bash
# tests/device/ansible.sh VENV PYTHON: check the Ansible role of examples/ on two machines; 1 where a check fails.
#
# VENV has Ansible, PYTHON the project. The machines are containers of systemd-nspawn with Debian 13, systemd and sshd, on
# a network of their own without a way out: what pip installs lies in them. Debian and those wheels are made below $CACHE
# once, and the wheels again when setup.cfg changes. The versions that are rolled out are wheels of the checkout.
# All mounts, processes and the network end with the run, however it ends.
# Needs root, Debian on x86-64 with control groups v2 and, for the first run, a network.
set -euo pipefail
[[ $# -eq 2 ]] || { sed -n '2p' "$0" | cut -c3- >&2; exit 2; }
((EUID == 0)) || exec sudo CACHE="${CACHE:-}" "$0" "$@"
cd "$(dirname "$0")/../.."
CACHE=${CACHE:-$PWD/.cache/ansible}
mkdir -p "$CACHE"
# shellcheck source=tests/device/machine.sh
source tests/device/machine.sh
need mmdebstrap:mmdebstrap systemd-nspawn:systemd-container ssh:openssh-client ip:iproute2
root=$CACHE/root
groups=$(findmnt --noheadings --output TARGET --types cgroup2 | head -n 1)

if [[ -z ${ANSIBLE_INSIDE:-} ]]; then
    if [[ ! -e $CACHE/ready ]]; then
        echo "making Debian 13 with systemd and sshd: a minute and half a gigabyte"
        rm -rf "$root"
        packages=(systemd-sysv dbus openssh-server sudo ca-certificates python3-apt python3-venv python3-packaging libgl1
            libglib2.0-0)
        mmdebstrap --quiet --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" \
            --customize-hook='copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs' trixie "$root"
        touch "$CACHE/ready"
    fi
    if ! cmp --silent setup.cfg "$CACHE/setup.cfg"; then
        echo "downloading the wheels that the machines install"
        rm -rf "$root/srv/wheels"
        "$2" -c 'import configparser
setup = configparser.ConfigParser()
setup.read("setup.cfg")
print(setup["options"]["install_requires"], *(setup["options.extras_require"][extra] for extra in ("web", "mqtt")))
' >"$root/srv/needed.txt"
        cp --remove-destination --dereference /etc/resolv.conf "$root/etc/"
        chroot "$root" /usr/bin/env --ignore-environment PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8 \
            PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DEFAULT_TIMEOUT=180 PIP_DISABLE_PIP_VERSION_CHECK=1 \
            ${https_proxy:+"https_proxy=$https_proxy"} bash -c 'rm -rf /tmp/pip && python3 -m venv /tmp/pip &&
            /tmp/pip/bin/pip download --quiet --only-binary :all: --dest /srv/wheels -r /srv/needed.txt && rm -rf /tmp/pip'
        cp setup.cfg "$CACHE/setup.cfg"
    fi
    status=0
    ANSIBLE_INSIDE=1 setpriv --pdeathsig KILL flock --no-fork "$CACHE/lock" \
        unshare --mount --net --pid --fork --kill-child --mount-proc "$0" "$@" || status=$?
    find "$groups"/fer-edge-* -depth -type d -exec rmdir {} \; 2>/dev/null || true
    exit $status
fi

# machine NAME ADDRESS: boot one; what it writes ends with the next run
machine() {
    local folder=$CACHE/machines/$1
    rm -rf "$folder" && mkdir -p "$folder"/{upper,work,root}
    mount -t overlay -o "lowerdir=$root,upperdir=$folder/upper,workdir=$folder/work" over "$folder/root"
    echo "$1" >"$folder/root/etc/hostname"
    printf '[Match]\nName=host0\n[Network]\nAddress=%s/24\n' "$2" >"$folder/root/etc/systemd/network/10-host0.network"
    ln -sf /usr/lib/systemd/system/systemd-networkd.service "$folder/root/etc/systemd/system/multi-user.target.wants/"
    chroot "$folder/root" useradd --create-home --shell /bin/bash pi
    echo 'pi ALL=(ALL) NOPASSWD: ALL' >"$folder/root/etc/sudoers.d/pi"
    install -D --mode 600 --owner 1000 --group 1000 "$CACHE/run/key.pub" "$folder/root/home/pi/.ssh/authorized_keys"
    chown 1000:1000 "$folder/root/home/pi/.ssh"
    cp "$CACHE/run/clip.mp4" "$CACHE/run/no-clip.mp4" "$folder/root/srv/"
    mkdir -p "$groups/fer-edge-$1"
    (
        echo 0 >"$groups/fer-edge-$1/cgroup.procs"
        SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn --quiet --register=no --keep-unit --link-journal=no \
            --directory="$folder/root" --machine="$1" --network-bridge=machines --console=pipe --boot
    ) </dev/null >"$CACHE/run/$1.log" 2>&1 &
}

rm -rf "$CACHE/run" && mkdir -p "$CACHE/run"
ssh-keygen -q -t ed25519 -N '' -f "$CACHE/run/key"
"$2" examples/make_clip.py "$CACHE/run/clip.mp4" >/dev/null
echo 'no clip' >"$CACHE/run/no-clip.mp4"
ip link set lo up
ip link add machines type bridge
ip address add 10.77.0.1/24 dev machines
ip link set machines up
machine kitchen 10.77.0.2
machine door 10.77.0.3
PATH=$(realpath "$1")/bin:$PATH PYTHONDONTWRITEBYTECODE=1 "$1/bin/python" tests/device/check_ansible.py "$CACHE/run"
