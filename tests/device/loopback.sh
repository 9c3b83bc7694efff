# Sourced by vm.sh: the kernel module v4l2loopback, a camera that gives what a program writes to it.
# shellcheck shell=bash

# build_loopback RELEASE: $CACHE/loopback/v4l2loopback.ko for Debian's kernel of that release, from Debian's source
build_loopback() {
    local folder=$CACHE/loopback headers=linux-headers-$1 packages
    [[ ! -e $folder/v4l2loopback.ko ]] || return 0
    need make:make bzip2:bzip2
    mapfile -t packages < <(apt-cache depends "$headers" | awk '/Depends: linux-(headers|kbuild)-/ {print $2}')
    need "$(apt-cache depends "$headers" | sed -n 's/.*Depends: linux-compiler-\(gcc-[0-9]*\)-.*/\1:\1/p')"
    rm -rf "$folder" && mkdir -p "$folder"
    (
        cd "$folder"
        apt-get download -qq "$headers" "${packages[@]}" v4l2loopback-source
        for package in *.deb; do dpkg -x "$package" . && rm "$package"; done
        sed -i "s#/usr/src#$folder/usr/src#" "usr/src/$headers/Makefile"
        tar -xjf usr/src/v4l2loopback.tar.bz2
        make -C "usr/src/$headers" M="$folder/modules/v4l2loopback" modules >build.log 2>&1 || { cat build.log; exit 1; }
        cp modules/v4l2loopback/v4l2loopback.ko . && rm -rf usr modules
    ) >&2
}
