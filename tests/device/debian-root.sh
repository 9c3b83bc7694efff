#!/usr/bin/env bash
# What debian.sh's root gets beside Debian's packages; run in it, once.
set -euo pipefail
export PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DEFAULT_TIMEOUT=180 PIP_DISABLE_PIP_VERSION_CHECK=1

# vimc, for the kernel that is there
release=$(ls /lib/modules)
source=$(basename /usr/src/linux-source-*.tar.xz .tar.xz)
folder=$source/drivers/media/test-drivers/vimc
tar --extract --file="/usr/src/$source.tar.xz" --directory=/usr/src "$folder"
make --silent -C "/lib/modules/$release/build" M="/usr/src/$folder" CONFIG_VIDEO_VIMC=m modules
mkdir -p "/lib/modules/$release/updates"
cp "/usr/src/$folder"/*.ko "/lib/modules/$release/updates/"
depmod "$release"
rm -r "/usr/src/$source" "/usr/src/$source.tar.xz"

# the packages of apt stay in use: OpenCV for its GStreamer, and what the camera library was built against
python3 -m venv --system-site-packages /opt/venv
/opt/venv/bin/pip install --quiet picamera2 'ai-edge-litert>=2.3' 'click>=8.2'
site=$(echo /opt/venv/lib/python3*/site-packages)
echo /srv >"$site/checkout.pth"
# picamera2 imports the library for a display without one, too
cat >"$site/pykms.py" <<END
class _Names(type):
    def __getattr__(cls, name):
        return name


class PixelFormat(metaclass=_Names):
    pass
END

# the one thing that this system does at its start
cat >/etc/systemd/system/command.service <<END
[Unit]
Description=what debian.sh was given
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/bin/bash /mnt/work/command
StandardOutput=file:/dev/ttyS0
StandardError=inherit
END
systemctl --quiet mask ldconfig systemd-journal-catalog-update systemd-binfmt systemd-hwdb-update systemd-update-done \
    systemd-sysusers systemd-firstboot proc-sys-fs-binfmt_misc.automount
