"""Where the datastore is, as the environment or calicoctl's configuration file tells: a file of ours, or etcd."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec

from tortie.base.errors import InvalidResource, Problem
from tortie.datastore.etcd.settings import EtcdSettings

if TYPE_CHECKING:
    from tortie.api.text import Place

DEFAULT_FILE = Path("/var/lib/tortie/datastore.db")
CONFIG_FILE = Path("/etc/calico/calicoctl.cfg")

Location = Path | EtcdSettings

_TYPE = "datastoreType"
_ENDPOINTS = "etcdEndpoints"
_DISCOVERY = "etcdDiscoverySrv"

_ENVIRONMENT = {
    "DATASTORE_TYPE": _TYPE,
    "ETCD_ENDPOINTS": _ENDPOINTS,
    "ETCD_DISCOVERY_SRV": _DISCOVERY,
    "ETCD_USERNAME": "etcdUsername",
    "ETCD_PASSWORD": "etcdPassword",
    "ETCD_KEY_FILE": "etcdKeyFile",
    "ETCD_CERT_FILE": "etcdCertFile",
    "ETCD_CA_CERT_FILE": "etcdCACertFile",
}
"""Variables, each of which may have CALICO_ before it, and the field of the file that says the same."""

_ENVIRONMENTAL = "environment"
_FAMILIES = ("ETCD_", "CALICO_ETCD_", "DATASTORE_", "CALICO_DATASTORE_")
_ALIKE = 0.9
"""How alike a slip and what was meant are: a letter or two; etcd's own variables are less so."""

_IN_LINE = ("etcdKey", "etcdCert", "etcdCACert")
_FIELDS = {*_ENVIRONMENT.values(), *_IN_LINE}
_FOREIGN_PREFIXES = ("k8s", "kubeconfig", "usePodCIDR", "calicoAPIGroup")
"""Fields for another kind of datastore."""

_HEADER = {"apiVersion": "projectcalico.org/v3", "kind": "CalicoAPIConfig"}

_BEGINNING = "begin with " + " and ".join(f"{field}: {value}" for field, value in _HEADER.items())


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    api_version: str = msgspec.field(name="apiVersion")
    kind: str
    metadata: dict[str, object] | None = None
    spec: dict[str, str | bool | int | float | None] = {}


def find_location(
    environment: Mapping[str, str], config: Path | None = CONFIG_FILE, default: Path = DEFAULT_FILE
) -> Location:
    """Where the datastore is.

    `TORTIE_DATASTORE`, a path or a list of URLs, comes first; then the configuration file, if one is given and
    exists; then the environment; then the default. Variables and files that say something, but not where, are no
    reason to take the default.

    Raises:
        InvalidResource: what must be corrected.
    """
    ours = environment.get("TORTIE_DATASTORE", "")
    if ours and "://" not in ours:
        return Path(ours)
    fields = _from_environment(environment)
    if ours:
        return _etcd(_ENVIRONMENTAL, fields | {_ENDPOINTS: ours})
    if config is not None and config.exists():
        return _location(str(config), _from_file(config)) or _refuse_silence(config)
    found = _location(_ENVIRONMENTAL, fields)
    if found is None and (problems := [*misspelt(environment), *_alone(environment)]):
        raise InvalidResource(*problems)
    return found or default


def misspelt(environment: Mapping[str, str]) -> list[Problem]:
    """Variables that look like one that tells where the datastore is, and are none."""
    known = [spelling for name in _ENVIRONMENT for spelling in (name, f"CALICO_{name}")]
    strange = [name for name in environment if name.startswith(_FAMILIES) and name not in known]
    if not strange:
        return []
    from difflib import get_close_matches

    near = {name: get_close_matches(name, known, 1, _ALIKE) for name in sorted(strange)}
    return [
        Problem(_ENVIRONMENTAL, name, "is not known", f"did you mean {meant[0]}?")
        for name, meant in near.items()
        if meant
    ]


def _alone(environment: Mapping[str, str]) -> list[Problem]:
    """Variables that tell something about an etcd that none names."""
    spellings = [spelling for name in _ENVIRONMENT for spelling in (name, f"CALICO_{name}")]
    remedy = "set ETCD_ENDPOINTS to the URLs of the servers, or unset it; --datastore and TORTIE_DATASTORE win over it"
    return [
        Problem(_ENVIRONMENTAL, name, "is set, but ETCD_ENDPOINTS is not", remedy)
        for name in spellings
        if environment.get(name)
    ][:1]


def _refuse_silence(path: Path) -> NoReturn:
    remedy = "write the URLs of etcd's servers there, or name a datastore with --datastore or TORTIE_DATASTORE"
    raise InvalidResource(Problem(str(path), f"spec.{_ENDPOINTS}", "is missing, so it names no datastore", remedy))


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    found = {
        field: environment.get(f"CALICO_{name}") or environment.get(name, "") for name, field in _ENVIRONMENT.items()
    }
    return {field: value for field, value in found.items() if value}


def _from_file(path: Path) -> dict[str, str]:
    # Reading YAML costs a short command a twentieth of its time, and few hosts have such a file.
    from tortie.api.strict import near
    from tortie.api.text import read_values

    try:
        values = read_values(path.read_text(encoding="utf-8"), str(path))
        content = msgspec.convert(values[0].plain if values else None, _File)
    except OSError as error:
        raise InvalidResource(Problem(str(path), "", f"cannot be read: {error.strerror}", "name a file")) from error
    except (UnicodeDecodeError, msgspec.ValidationError) as error:
        raise InvalidResource(Problem(str(path), "", str(error), _BEGINNING)) from error
    header = {"apiVersion": content.api_version, "kind": content.kind}
    parts = values[0].place.parts
    problems = [
        _placed(path, parts[field], field, f"{header[field]!r} is not known", f"write {wanted}")
        for field, wanted in _HEADER.items()
        if header[field] != wanted
    ]
    problems += [
        _placed(path, parts["spec"].parts[field], f"spec.{field}", "is not known", near(field, _FIELDS))
        for field in content.spec
        if field not in _FIELDS and not field.startswith(_FOREIGN_PREFIXES)
    ]
    problems += [
        Problem("CalicoAPIConfig", "", "is one of several documents", "keep one", str(path), more.place.line, 1)
        for more in values[1:]
    ]
    if problems:
        raise InvalidResource(*problems)
    return {field: str(value) for field, value in content.spec.items() if field in _FIELDS and value is not None}


def _placed(path: Path, place: Place, field: str, problem: str, remedy: str) -> Problem:
    return Problem("CalicoAPIConfig", field, problem, remedy, str(path), place.line, place.column)


def _location(source: str, fields: Mapping[str, str]) -> EtcdSettings | None:
    """What is named, if anything is."""
    kind = fields.get(_TYPE) or ("etcdv3" if fields.get(_ENDPOINTS) or fields.get(_DISCOVERY) else "")
    if kind == "etcdv3":
        return _etcd(source, fields)
    if kind:
        raise InvalidResource(Problem(source, _TYPE, f"{kind!r} is not supported", "use etcdv3 or a file of ours"))
    return None


def _etcd(source: str, fields: Mapping[str, str]) -> EtcdSettings:
    if fields.get(_DISCOVERY):
        raise InvalidResource(Problem(source, _DISCOVERY, "is not supported", f"name the servers in {_ENDPOINTS}"))
    problems = [
        Problem(source, name, f"{name} and {name}File exclude each other", "give one of them")
        for name in _IN_LINE
        if fields.get(name) and fields.get(f"{name}File")
    ]
    if problems:
        raise InvalidResource(*problems)
    key, certificate, authority = (fields.get(name) or fields.get(f"{name}File", "") for name in _IN_LINE)
    return EtcdSettings(
        endpoints=[url.strip() for url in fields.get(_ENDPOINTS, "").split(",") if url.strip()],
        username=fields.get("etcdUsername", ""),
        password=fields.get("etcdPassword", ""),
        ca=authority,
        certificate=certificate,
        key=key,
    )


def place_of(location: Location) -> str:
    """A location in words."""
    return str(location) if isinstance(location, Path) else ",".join(location.endpoints)
