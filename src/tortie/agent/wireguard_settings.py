"""Settings of WireGuard, one set for each family."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tortie.agent.moving_settings import MovingSettings
from tortie.agent.setting import Setting
from tortie.agent.setting_values import flag, port
from tortie.dataplane.wireguard.userspace import DIRECTORY
from tortie.desired.settings import WireguardSettings

_DEVICE = re.compile(r"[a-zA-Z0-9_.-]{1,15}")


class EncryptionSettings(MovingSettings, frozen=True, kw_only=True):
    """Effective settings; see WIREGUARD_TABLE for what each means, and those of routes that move."""

    wireguard_enabled: bool
    wireguard_enabled_v6: bool
    wireguard_listening_port: int
    wireguard_listening_port_v6: int
    wireguard_interface_name: str
    wireguard_interface_name_v6: str
    wireguard_mtu: int
    wireguard_mtu_v6: int
    wireguard_routing_rule_priority: int
    wireguard_host_encryption_enabled: bool
    wireguard_keep_alive_seconds: int
    wireguard_encryption_required: bool
    wireguard_directory: Path


def device_names(settings: EncryptionSettings) -> dict[int, str]:
    """By family, used or not."""
    return {4: settings.wireguard_interface_name, 6: settings.wireguard_interface_name_v6}


def wireguard(settings: EncryptionSettings) -> Mapping[int, WireguardSettings]:
    """Of the families that are encrypted."""
    enabled = {4: settings.wireguard_enabled, 6: settings.wireguard_enabled_v6}
    ports = {4: settings.wireguard_listening_port, 6: settings.wireguard_listening_port_v6}
    mtus = {4: settings.wireguard_mtu, 6: settings.wireguard_mtu_v6}
    return {
        family: WireguardSettings(
            interface=device_names(settings)[family],
            port=ports[family],
            mtu=mtus[family],
            keepalive=settings.wireguard_keep_alive_seconds,
            priority=settings.wireguard_routing_rule_priority,
            hosts=settings.wireguard_host_encryption_enabled,
            required=settings.wireguard_encryption_required,
        )
        for family in (4, 6)
        if enabled[family]
    }


def _used_port(text: str) -> int:
    number = port(text)
    if not number:
        raise ValueError("use a port from 1 to 65535")
    return number


def _device(text: str) -> str:
    if not _DEVICE.fullmatch(text) or text in (".", ".."):
        raise ValueError("use up to 15 letters, digits and any of _ . -")
    return text


def _mtu(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not (text.strip("0") == "" or 1280 <= int(text) <= 65535):
        raise ValueError("use a number of bytes from 1280 to 65535, or 0 for what fits")
    return int(text)


def _priority(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 32766:
        raise ValueError("use a number from 1 to 32765")
    return int(text)


def _keepalive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ValueError("use a whole number of seconds up to 65535, or 0 for none")
    return int(text)


def _directory(text: str) -> Path:
    if not Path(text).is_absolute():
        raise ValueError("use the whole path of a directory")
    return Path(text)


WIREGUARD_TABLE: tuple[Setting, ...] = (
    *(
        Setting(f"wireguard_{name}{suffix}", parse, value, meaning, (f"FELIX_WIREGUARD{felix}{suffix[1:].upper()}",))
        for suffix, family, values in (("", 4, ("51820", "wireguard.cali")), ("_v6", 6, ("51821", "wg-v6.cali")))
        for name, felix, parse, value, meaning in (
            ("enabled", "ENABLED", flag, "false", f"Whether WireGuard encrypts IPv{family} between hosts."),
            ("listening_port", "LISTENINGPORT", _used_port, values[0], f"UDP port of WireGuard for IPv{family}."),
            ("interface_name", "INTERFACENAME", _device, values[1], f"Its device for IPv{family}."),
            (
                "mtu",
                "MTU",
                _mtu,
                "0",
                f"MTU of that device; 0 is that of the interface underneath less {60 if family == 4 else 80}.",
            ),
        )
    ),
    Setting(
        "wireguard_routing_rule_priority",
        _priority,
        "99",
        "Priority of the routing rule that has WireGuard asked; the smaller number is asked first.",
        ("FELIX_WIREGUARDROUTINGRULEPRIORITY",),
    ),
    Setting(
        "wireguard_host_encryption_enabled",
        flag,
        "false",
        "Whether WireGuard also encrypts what hosts send each other for themselves.",
        ("FELIX_WIREGUARDHOSTENCRYPTIONENABLED",),
    ),
    Setting(
        "wireguard_keep_alive_seconds",
        _keepalive,
        "0",
        "Time between packets that keep a path of WireGuard open; 0 sends none.",
        ("FELIX_WIREGUARDKEEPALIVE",),
    ),
    Setting(
        "wireguard_encryption_required",
        flag,
        "false",
        "Whether what is for workloads of hosts without a key is refused rather than sent in the clear.",
    ),
    Setting(
        "wireguard_directory",
        _directory,
        str(DIRECTORY),
        "Where wireguard-go has its sockets, on kernels without WireGuard.",
    ),
)
