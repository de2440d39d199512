#!/usr/bin/env bash
# Unpacks Debian packages into a directory, for tests that run other packet filters beside ours. They are not installed:
# that would start them on this machine. Does nothing for those that are there.
# Usage: tools/unpack.sh DIRECTORY PACKAGE...
set -euo pipefail
target=$1
shift
mkdir -p "$target"
cd "$target"
target=$PWD
for package in "$@"; do
    [ -e "$target/.$package" ] && continue
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    if ! apt-get download -qq "$package" >/dev/null 2>&1; then
        apt-get update -qq
        apt-get download -qq "$package" >/dev/null
    fi
    dpkg -x "$package"_*.deb "$target"
    touch "$target/.$package"
    cd "$target"
    rm -rf "$work"
done
