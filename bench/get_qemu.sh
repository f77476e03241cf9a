#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Puts a current qemu-system-x86_64 with all that it needs into a folder of its own, for the benchmark: get_qemu.sh DIR
# From Debian's trixie-backports, by apt with lists of its own: nothing is installed on this machine, and it needs no root. It
# takes 170 MB.
# DIR/qemu-system-x86_64 runs it.
set -eu

[ $# -eq 1 ] || { echo "get_qemu.sh DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
mirror=${MIRROR:-http://deb.debian.org/debian}
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ ! -x "$dir/qemu-system-x86_64" ] || { echo "there already: $dir/qemu-system-x86_64"; exit 0; }
[ -f "$keys" ] || { echo "needs $keys: apt-get install debian-archive-keyring" >&2; exit 1; }

mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial" "$dir/apt/etc/preferences.d" "$dir/root"
: >"$dir/apt/status"
: >"$dir/apt/none"
for suite in trixie trixie-backports; do
    echo "deb [arch=amd64 signed-by=$keys] $mirror $suite main"
done >"$dir/apt/sources.list"

# Of this machine's apt nothing is used but the program: no settings, no sources, no list of what is installed.
apt() {
    APT_CONFIG=$dir/apt/none apt-get -qq -o Dir::Etc="$dir/apt/etc" -o Dir::Etc::sourcelist="$dir/apt/sources.list" \
        -o Dir::Etc::sourceparts=/dev/null -o Dir::State="$dir/apt" -o Dir::State::status="$dir/apt/status" \
        -o Dir::State::lists="$dir/apt/lists" -o Dir::Cache="$dir/apt/cache" -o APT::Architecture=amd64 \
        -o APT::Sandbox::User=root -o Debug::NoLocking=1 "$@"
}

echo "package lists of trixie and trixie-backports"
apt update
echo "downloading"
apt install --yes --download-only --no-install-recommends -t trixie-backports qemu-system-x86
for package in "$dir"/apt/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$dir/root"
done
rm -rf "$dir/apt"

# Its own C library, its own modules, its own firmware.
cat >"$dir/qemu-system-x86_64" <<END
#!/bin/sh
root='$dir/root'
libs=\$root/usr/lib/x86_64-linux-gnu
QEMU_MODULE_DIR=\$libs/qemu exec "\$libs/ld-linux-x86-64.so.2" --library-path "\$libs:\$libs/pulseaudio" "\$root/usr/bin/qemu-system-x86_64" \\
    -L "\$root/usr/share/qemu" -L "\$root/usr/share/seabios" "\$@"
END
chmod +x "$dir/qemu-system-x86_64"
"$dir/qemu-system-x86_64" --version | head -n 1
