"""Replay captured traffic against proposed cloud security-group rules.

What would be allowed, what denied, by which rule and why: of packet captures and flow logs (`replay`, `diff`), of the rows
of a table (`evaluate`), of all packets that could be (`check`, `test`, `diff` without captures).

Options have the names of the program's: `--max-sessions 100` is `max_sessions=100`, and messages name them as the program
does. Times of results are `timestamp[ns, UTC]`, words are dictionaries, sizes are bytes. What results should not be read
without is raised as a `SgreplayWarning`; what cannot be done as an `Error`.
"""

from __future__ import annotations

import datetime as _datetime
import os as _os
from typing import Any, Dict, Iterable, List, Literal, Mapping, Optional, Protocol, Tuple, Union, cast, overload

from . import _sgreplay
from ._sgreplay import (
    CaptureError,
    ColumnError,
    Error,
    NoFullAnswer,
    RulesError,
    SgreplayWarning,
    Stream,
    Table,
    __version__,
)

__all__ = [
    "CaptureError",
    "Check",
    "ColumnError",
    "Diff",
    "Error",
    "NoFullAnswer",
    "Replay",
    "Rules",
    "RulesError",
    "SgreplayWarning",
    "Stream",
    "Suggestion",
    "Table",
    "Test",
    "__version__",
    "check",
    "diff",
    "evaluate",
    "replay",
    "suggest",
    "test",
]

Path = Union[str, "_os.PathLike[str]"]
Time = Union[str, int, float, _datetime.datetime]
Texts = Union[str, Iterable[str]]
_Rows = List[Dict[str, Any]]


class ArrowStream(Protocol):
    """Anything that makes an Arrow stream: a table of pyarrow, pandas, polars, DuckDB, or of this package."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...


def _texts(value: Optional[Texts]) -> List[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(text) for text in value]


def _paths(value: Union[Path, Iterable[Path]]) -> List[str]:
    if isinstance(value, (str, _os.PathLike)):
        return [_os.fspath(value)]
    return [_os.fspath(path) for path in value]


def _time(value: Time) -> str:
    if isinstance(value, _datetime.datetime):
        if value.tzinfo is None:
            raise Error("a time without a time zone: give one, such as datetime.timezone.utc")
        return value.astimezone(_datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, float):
        return f"{value:.9f}"
    return str(value)


def _options(**given: Any) -> List[str]:
    """The words of the program's command line for keyword arguments; None and False say nothing."""
    words: List[str] = []
    for name, value in given.items():
        option = "--" + name.rstrip("_").replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            words.append(option)
        elif isinstance(value, Mapping):
            words += [f"{option}={key}={','.join(_texts(of))}" for key, of in value.items()]
        elif name in ("since", "until"):
            words.append(f"{option}={_time(value)}")
        elif isinstance(value, (str, int, float)):
            words.append(f"{option}={value}")
        else:
            words += [f"{option}={text}" for text in _texts(value)]
    return words


class Rules:
    """Rules that were read: immutable, shared by threads, pickled as the texts that they were read from."""

    __slots__ = ("_rules",)
    _rules: _sgreplay._Rules

    def __init__(self) -> None:
        raise TypeError("Rules.load(path) or Rules.parse(text) reads rules")

    @classmethod
    def _of(cls, rules: _sgreplay._Rules) -> "Rules":
        made = object.__new__(cls)
        object.__setattr__(made, "_rules", rules)
        return made

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("rules are immutable")

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        local: Optional[Texts] = None,
        groups: Optional[Texts] = None,
        side: Literal["proposed", "current"] = "proposed",
        type: Optional[Literal["basic", "enterprise"]] = None,
        inner_access_policy: Optional[Literal["accept", "drop"]] = None,
        define: Optional[Mapping[str, Texts]] = None,
        tags: Optional[Texts] = None,
        param: Optional[Mapping[str, str]] = None,
        partial: bool = False,
        cloud: Optional[Literal["alibaba", "aws", "azure", "google"]] = None,
        vpc_cidr: Optional[Texts] = None,
        intra_group_egress: bool = False,
        exempt_dhcp: bool = False,
        neighbour_discovery: Optional[Literal["exempt", "rules"]] = None,
        no_quota: bool = False,
    ) -> "Rules":
        """Read rules of any format that the program reads: its own rules file, a Terraform plan or configuration, what
        the clouds' tools print, a directory of these.

        `local` are the addresses or networks of the one interface, where the rules list none; without it `replay` infers
        them from the captures, and `evaluate` refuses. `groups` are those that the instance has. `side` is that of a
        Terraform plan. The others are the program's options of the same names.

        Raises RulesError with `file`, `line`, `column` where the cloud would refuse the rules.
        """
        options = _rules_options(
            local, groups, side, type, inner_access_policy, define, tags, param, partial, cloud, vpc_cidr,
            intra_group_egress, exempt_dhcp, neighbour_discovery, no_quota,
        )
        return cls._of(_sgreplay._Rules.load(_os.fspath(path), options))

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        name: str = "rules",
        local: Optional[Texts] = None,
        groups: Optional[Texts] = None,
        side: Literal["proposed", "current"] = "proposed",
        type: Optional[Literal["basic", "enterprise"]] = None,
        inner_access_policy: Optional[Literal["accept", "drop"]] = None,
        define: Optional[Mapping[str, Texts]] = None,
        tags: Optional[Texts] = None,
        param: Optional[Mapping[str, str]] = None,
        partial: bool = False,
        cloud: Optional[Literal["alibaba", "aws", "azure", "google"]] = None,
        vpc_cidr: Optional[Texts] = None,
        intra_group_egress: bool = False,
        exempt_dhcp: bool = False,
        neighbour_discovery: Optional[Literal["exempt", "rules"]] = None,
        no_quota: bool = False,
    ) -> "Rules":
        """The same of a text. `name` stands for the file in messages; the format of some is known by its ending."""
        options = _rules_options(
            local, groups, side, type, inner_access_policy, define, tags, param, partial, cloud, vpc_cidr,
            intra_group_egress, exempt_dhcp, neighbour_discovery, no_quota,
        )
        return cls._of(_sgreplay._Rules.of_texts(name, [(name, text)], options, True))

    @property
    def path(self) -> str:
        """The file, as it was named; of a Terraform plan with the side."""
        return self._rules.path

    @property
    def sha256(self) -> str:
        """SHA-256 of the texts, hexadecimal."""
        return self._rules.sha256

    @property
    def cloud(self) -> str:
        """Whose rules they are: `alibaba`, `aws`, `azure` or `google`."""
        return self._rules.cloud

    @property
    def groups(self) -> List[str]:
        """The ids of the security groups, in the order of the file."""
        return self._rules.groups

    @property
    def interfaces(self) -> List[str]:
        """The ids of the interfaces that the rules list."""
        return self._rules.interfaces

    @property
    def warnings(self) -> List[str]:
        """What is to be said of the rules."""
        return self._rules.warnings

    def __len__(self) -> int:
        """The number of rules."""
        return len(self._rules)

    def __repr__(self) -> str:
        return f"<sgreplay.Rules {self.path!r}: {len(self)} rules of {self.cloud}>"

    def __reduce__(self) -> Tuple[Any, ...]:
        return (_unpickled, self._rules.state())


def _unpickled(name: str, texts: List[Tuple[str, str]], options: List[str]) -> Rules:
    return Rules._of(_sgreplay._Rules.of_texts(name, texts, options, False))


def _of_rules(rules: Union[Rules, Path]) -> _sgreplay._Rules:
    """Rules, or those of a file."""
    if isinstance(rules, Rules):
        return rules._rules
    if isinstance(rules, (str, _os.PathLike)):
        return Rules.load(rules)._rules
    raise TypeError(f"rules are sgreplay.Rules or the path of a rules file, and not {type(rules).__name__}")


def _rules_options(
    local: Optional[Texts],
    groups: Optional[Texts],
    side: str,
    type: Optional[str],
    inner_access_policy: Optional[str],
    define: Optional[Mapping[str, Texts]],
    tags: Optional[Texts],
    param: Optional[Mapping[str, str]],
    partial: bool,
    cloud: Optional[str],
    vpc_cidr: Optional[Texts],
    intra_group_egress: bool,
    exempt_dhcp: bool,
    neighbour_discovery: Optional[str],
    no_quota: bool,
) -> List[str]:
    if side not in ("proposed", "current"):
        raise Error(f"side={side!r}: a plan has the sides proposed and current")
    return _options(
        current=side == "current",
        local=_texts(local),
        groups=_texts(groups),
        type=type,
        inner_access_policy=inner_access_policy,
        define=define,
        tags=None if tags is None else ",".join(_texts(tags)),
        param=param,
        partial=partial,
        cloud=cloud,
        vpc_cidr=_texts(vpc_cidr),
        intra_group_egress=intra_group_egress,
        exempt_dhcp=exempt_dhcp,
        neighbour_discovery=neighbour_discovery,
        no_quota=no_quota,
    )


class Replay:
    """A replay of captures against rules. Each result is computed when it is first asked for, by reading the captures."""

    __slots__ = ("_replay",)

    def __init__(self, replay: _sgreplay._Replay) -> None:
        self._replay = replay

    @property
    def summary(self) -> Dict[str, Any]:
        """What `sgreplay replay -f json` prints: the keys are those of "JSON" in the manual."""
        return self._replay.summary

    @property
    def connections(self) -> Table:
        """A row per connection and interface, in the order of opening: the columns of `--per connection`, with
        `first_time` and `last_time` as times."""
        return self._replay.connections

    def packets(self, rows: int = 65536) -> Stream:
        """A row per packet and interface, in the order of the captures: the columns of `--per packet`, with `time` as a
        time. The stream has batches of about `rows` rows and needs bounded memory; it ends with a CaptureError where a
        capture is damaged."""
        if rows < 1:
            raise Error(f"rows={rows}: a batch has at least one")
        return self._replay.packets(rows)

    def fails(self, on: Literal["denied"] = "denied") -> bool:
        """Whether a packet is denied, as `--fail-on denied` asks. Raises NoFullAnswer where none is denied and the
        captures or the rules do not allow to say so: a gate must not pass then."""
        if on != "denied":
            raise Error(f"fails({on!r}): the condition of a replay is denied")
        return self._replay.denied()


def replay(
    rules: Union[Rules, Path],
    captures: Union[Path, Iterable[Path]],
    *,
    filter: Optional[str] = None,
    count: Optional[int] = None,
    since: Optional[Time] = None,
    until: Optional[Time] = None,
    decap: Optional[Texts] = None,
    fields: Optional[str] = None,
    as_named: bool = False,
    interface: Optional[Mapping[str, Texts]] = None,
    midstream: Optional[Literal["infer", "first-packet"]] = None,
    sessions: bool = True,
    max_sessions: Optional[int] = None,
    memory: Optional[Union[int, str]] = None,
    index_memory: Optional[Union[int, str]] = None,
    threads: Optional[int] = None,
    hash: bool = False,
    max_unevaluated: Optional[float] = None,
    allow_truncated: bool = False,
    progress: bool = False,
) -> Replay:
    """Judge every packet of captures or flow logs, named by files or directories.

    `since` and `until` are times with a zone, texts as the program takes them, or seconds since 1970; `interface` says at
    which interface a capture was made, `{"eni-web": "web.pcap"}`; `memory` is in bytes, or a text such as "2GiB". `progress`
    shows a bar on a terminal. The others are the program's options of the same names.

    Raises CaptureError with `file`, `frame`, `offset` where a capture cannot be read, and KeyboardInterrupt on Ctrl-C.
    """
    options = _options(
        filter=filter, count=count, since=since, until=until, decap=_texts(decap), fields=fields, as_named=as_named,
        interface=_pairs(interface), midstream=midstream, sessions="on" if sessions else "off",
        max_sessions=max_sessions, memory=memory, index_memory=index_memory, threads=threads, hash=hash,
        max_unevaluated=max_unevaluated, allow_truncated=allow_truncated, progress=progress,
    )
    return Replay(_sgreplay._Replay(_of_rules(rules), _paths(captures), options))


def _pairs(of: Optional[Mapping[str, Texts]]) -> List[str]:
    return [f"{key}={text}" for key, texts in (of or {}).items() for text in _texts(texts)]


@overload
def evaluate(
    rules: Union[Rules, Path],
    table: ArrowStream,
    *,
    columns: Optional[Mapping[str, str]] = None,
    prefix: str = "",
    stream: Literal[False] = False,
) -> Table: ...
@overload
def evaluate(
    rules: Union[Rules, Path],
    table: ArrowStream,
    *,
    columns: Optional[Mapping[str, str]] = None,
    prefix: str = "",
    stream: Literal[True],
) -> Stream: ...
def evaluate(
    rules: Union[Rules, Path],
    table: ArrowStream,
    *,
    columns: Optional[Mapping[str, str]] = None,
    prefix: str = "",
    stream: bool = False,
) -> Union[Table, Stream]:
    """Judge the rows of a table, each as the packet that opens a connection, without regard to other rows.

    Rows have a source, a destination, a protocol and two ports: in the columns of flow logs of AWS and Alibaba Cloud, of
    Zeek and Suricata, of Wireshark's fields, of the program's own CSV; or `columns` names them, by `src`, `dst`, `proto`,
    `sport`, `dport`, `icmp_type`, `icmp_code`. Addresses are texts, bytes, or numbers (IPv4); protocols and ports are
    numbers or texts; null, an empty text and `-` are nothing.

    The result has all columns of the table, and `direction`, `verdict` (`allow`, `deny`, `not_evaluated`), `reason`, `group`,
    `rule`, `layer` behind them, each with `prefix` before its name. A row between two interfaces of the rules has the answer
    of the sender's, unless only the receiver's denies it. A row that lacks what it is judged by is `not_evaluated` for the
    reason `truncated`. ICMP without a type is taken for an echo request, with a warning.

    With `stream=True` the batches are judged as they are taken, so that a table larger than memory passes through.

    Raises ColumnError with `column`, and `row` from 0, where a column is missing or holds something else.
    """
    return _sgreplay.evaluate(_of_rules(rules), table, dict(columns or {}), prefix, stream)


class _Found:
    __slots__ = ("_answer",)

    def __init__(self, answer: _sgreplay._Answer) -> None:
        self._answer = answer

    @property
    def summary(self) -> Dict[str, Any]:
        """What the program prints as JSON."""
        return self._answer.summary


class Diff(_Found):
    """What a change of rules does."""

    @property
    def changes(self) -> _Rows:
        """Connections of the captures whose verdict or rule changes."""
        return cast(_Rows, self.summary.get("changes", []))

    @property
    def regions(self) -> _Rows:
        """Regions of all possible packets whose verdict turns, exactly."""
        return cast(_Rows, self.summary.get("regions", []))

    def fails(self, on: Literal["newly_denied", "newly_allowed", "any"]) -> bool:
        """Whether a connection is newly denied, newly allowed, or either, as `--fail-on` asks; without captures, whether
        any packet would be. Raises NoFullAnswer where it does not hold and the input does not allow to say so."""
        return self._answer.fails(on)


def diff(
    current: Union[Rules, Path],
    proposed: Union[Rules, Path],
    captures: Union[Path, Iterable[Path]] = (),
    *,
    accept: Optional[Path] = None,
    filter: Optional[str] = None,
    count: Optional[int] = None,
    since: Optional[Time] = None,
    until: Optional[Time] = None,
    decap: Optional[Texts] = None,
    fields: Optional[str] = None,
    as_named: bool = False,
    interface: Optional[Mapping[str, Texts]] = None,
    midstream: Optional[Literal["infer", "first-packet"]] = None,
    max_sessions: Optional[int] = None,
    memory: Optional[Union[int, str]] = None,
    index_memory: Optional[Union[int, str]] = None,
    threads: Optional[int] = None,
    hash: bool = False,
    max_unevaluated: Optional[float] = None,
    allow_truncated: bool = False,
    progress: bool = False,
) -> Diff:
    """What a change of rules does to captures; without any, to all packets that could be. `summary` is what
    `sgreplay diff -f json` prints."""
    options = _options(
        accept=None if accept is None else _os.fspath(accept), filter=filter, count=count, since=since, until=until,
        decap=_texts(decap), fields=fields, as_named=as_named, interface=_pairs(interface), midstream=midstream,
        max_sessions=max_sessions, memory=memory, index_memory=index_memory, threads=threads, hash=hash,
        max_unevaluated=max_unevaluated, allow_truncated=allow_truncated,
    )
    return Diff(_sgreplay.diff(_of_rules(current), _of_rules(proposed), _paths(captures), options, progress))


class Check(_Found):
    """What is wrong with rules themselves."""

    @property
    def findings(self) -> _Rows:
        """What was found: `code`, `severity`, `group`, `rule`, `message` and more."""
        return cast(_Rows, self.summary["findings"])

    def fails(self, on: Literal["warning", "error"]) -> bool:
        """Whether something of this severity or a higher one was found. Raises NoFullAnswer where not all was checked."""
        return self._answer.fails(on)


def check(rules: Union[Rules, Path]) -> Check:
    """What is wrong with rules themselves. `summary` is what `sgreplay check -f json` prints."""
    return Check(_sgreplay.check(_of_rules(rules)))


class Suggestion(_Found):
    """Rules that allow what captures show."""

    @property
    def text(self) -> str:
        """The rules file, with its account as comments."""
        return self._answer.text or ""

    @property
    def rules(self) -> Rules:
        """The suggested rules."""
        return Rules.parse(self.text, name="suggested.yaml")


def suggest(
    captures: Union[Path, Iterable[Path]],
    *,
    rules: Optional[Union[Rules, Path]] = None,
    local: Optional[Texts] = None,
    aggregate: Optional[str] = None,
    max_rules: Optional[int] = None,
    without_scans: bool = False,
    holdout: Optional[float] = None,
    filter: Optional[str] = None,
    count: Optional[int] = None,
    since: Optional[Time] = None,
    until: Optional[Time] = None,
    decap: Optional[Texts] = None,
    fields: Optional[str] = None,
    as_named: bool = False,
    interface: Optional[Mapping[str, Texts]] = None,
    midstream: Optional[Literal["infer", "first-packet"]] = None,
    memory: Optional[Union[int, str]] = None,
    threads: Optional[int] = None,
    progress: bool = False,
) -> Suggestion:
    """Few rules that allow the connections of captures, those that `rules` allow where they are given. `summary` is what
    `sgreplay suggest -f json` prints. `holdout` is in percent."""
    options = _options(
        local=_texts(local), aggregate=aggregate, max_rules=max_rules, without_scans=without_scans, holdout=holdout,
        filter=filter, count=count, since=since, until=until, decap=_texts(decap), fields=fields, as_named=as_named,
        interface=_pairs(interface), midstream=midstream, memory=memory, threads=threads,
    )
    of = None if rules is None else _of_rules(rules)
    return Suggestion(_sgreplay.suggest(of, _paths(captures), options, progress))


class Test(_Found):
    """Whether rules do what is expected of them."""

    # No class of tests for pytest.
    __test__ = False

    @property
    def results(self) -> _Rows:
        """Each expectation with its outcome."""
        return cast(_Rows, self.summary["results"])

    def fails(self) -> bool:
        """Whether an expectation is not met. Raises NoFullAnswer where all are met and rules are missing."""
        return self._answer.fails("failed")


def test(rules: Union[Rules, Path], assertions: Path) -> Test:
    """Whether rules do what a file of expectations says, of all packets that could be. `summary` is what
    `sgreplay test -f json` prints."""
    return Test(_sgreplay.test(_of_rules(rules), _os.fspath(assertions)))


test.__test__ = False  # type: ignore[attr-defined]
