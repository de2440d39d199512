#!/usr/bin/env bash
# Installs what the project needs on Debian 12: packages, and a virtual environment from the locked requirements.
# Usage: tools/setup.sh runtime|dev     Says what it installs; does nothing when everything is there.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:?"runtime or dev"}
packages=(bird2 conntrack dnsmasq-base iproute2 nftables wireguard-go)
[ "$kind" = dev ] && packages+=(busybox-static containerd containernetworking-plugins dbus-daemon etcd-client etcd-server frr gobgpd iptables
    iputils-ping netbase openssl podman procps python3-dbus python3-gi runc tcpdump wireguard-tools)
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $python is older" >&2; exit 1; }
"$python" -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] || { echo "run as root: apt-get install ${missing[*]}" >&2; exit 1; }
    echo "Installing Debian packages: ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

lock=requirements/$kind.txt
want=$(sha256sum "$lock" pyproject.toml | sha256sum | cut -d' ' -f1)
have=$(cat ".venv/.$kind" 2>/dev/null || true)
if [ "$want" != "$have" ] || ! .venv/bin/python -c '' 2>/dev/null; then
    echo "Installing Python packages of $lock into .venv"
    .venv/bin/python -c '' 2>/dev/null || "$python" -m venv --clear .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock" 2>&1 | { grep -v '^WARNING: Location' || true; }
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . 2>&1 | { grep -v '^WARNING: Location' || true; }
    .venv/bin/python -c 'import tortie, msgspec'
    echo "$want" > ".venv/.$kind"
fi
