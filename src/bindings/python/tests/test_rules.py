"""Rules are read once, and are the same wherever they go."""

import pathlib
import pickle
import threading

import pytest
from conftest import LOCAL

import sgreplay


def test_a_file_and_its_text_are_the_same_rules():
    text = pathlib.Path("current.yaml").read_text()
    of_file, of_text = sgreplay.Rules.load("current.yaml"), sgreplay.Rules.parse(text, name="current.yaml")
    assert (of_file.sha256, len(of_file), of_file.groups) == (of_text.sha256, len(of_text), of_text.groups)
    assert of_file.cloud == "alibaba" and of_file.groups == ["sg-web"]
    assert repr(of_file) == f"<sgreplay.Rules 'current.yaml': {len(of_file)} rules of alibaba>"


def test_pickled_rules_judge_alike(rules):
    again = pickle.loads(pickle.dumps(rules))
    assert again.path == rules.path
    assert sgreplay.replay(again, "ssh.pcap").summary == sgreplay.replay(rules, "ssh.pcap").summary


def test_the_clouds_own_formats_are_read():
    rules = sgreplay.Rules.parse(
        """{"SecurityGroups": [{"GroupId": "sg-1", "GroupName": "a", "VpcId": "vpc-1", "IpPermissions": [
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
        "IpPermissionsEgress": []}]}""",
        local="10.0.0.5",
    )
    assert rules.cloud == "aws" and rules.groups == ["sg-1"]


def test_an_error_says_where():
    text = "security_groups:\n  - id: sg-a\n    rules:\n      - {direction: ingress, protocol: tpc, source: 10.0.0.0/8}\n"
    with pytest.raises(sgreplay.RulesError) as raised:
        sgreplay.Rules.parse(text, name="web.yaml")
    error = raised.value
    assert (error.file, error.line, error.column) == ("web.yaml", 4, 40)
    assert error.faults[0][:2] == (4, 40) and "tpc" in error.faults[0][2]
    assert str(error).startswith("web.yaml:4:40: ")
    assert (error.frame, error.offset) == (None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"local": "10.0.0.500"}, "10.0.0.500"),
        ({"groups": "sg-none"}, "sg-none"),
        ({"type": "special"}, "special"),
        ({"side": "both"}, "both"),
        ({"define": {"tag": "ten"}}, "ten"),
    ],
)
def test_an_option_that_is_wrong_is_named(options, message):
    with pytest.raises(sgreplay.Error, match=message):
        sgreplay.Rules.load("current.yaml", **options)


def test_an_address_beside_listed_interfaces_is_an_error():
    with pytest.raises(sgreplay.Error, match="lists? no interfaces|--local is for"):
        sgreplay.Rules.load("two-instances.yaml", local="10.0.0.5")


def test_a_file_that_is_not_there_is_an_error():
    with pytest.raises(sgreplay.Error, match="none.yaml"):
        sgreplay.Rules.load("none.yaml")


def test_what_is_said_of_rules_is_a_warning():
    with pytest.warns(sgreplay.SgreplayWarning, match="--type has no effect"):
        rules = sgreplay.Rules.load("current.yaml", type="basic")
    assert rules.warnings


def test_threads_share_rules(rules):
    found = []

    def judge():
        found.append(sgreplay.replay(rules, "story.pcap").summary)

    threads = [threading.Thread(target=judge) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and all(one == found[0] for one in found)


def test_rules_are_immutable(rules):
    with pytest.raises(AttributeError):
        rules.path = "other.yaml"
    with pytest.raises(TypeError):
        sgreplay.Rules()
    assert LOCAL


def test_a_path_stands_for_the_rules_of_its_file():
    current, proposed = sgreplay.Rules.load("current.yaml"), sgreplay.Rules.load("proposed.yaml")
    summary = sgreplay.diff(current, proposed, "story.pcap").summary
    assert sgreplay.diff("current.yaml", pathlib.Path("proposed.yaml"), "story.pcap").summary == summary
    assert sgreplay.replay("current.yaml", "ssh.pcap").summary == sgreplay.replay(current, "ssh.pcap").summary
    assert sgreplay.check("current.yaml").summary == sgreplay.check(current).summary
    assert sgreplay.test("current.yaml", "expectations.yaml").results


def test_what_is_neither_rules_nor_a_path_is_a_type_error():
    with pytest.raises(TypeError, match="sgreplay.Rules or the path of a rules file, and not int"):
        sgreplay.check(7)


def test_a_cloud_raises_its_quotas():
    entries = ", ".join(f"20.0.{n}.0/24" for n in range(201))
    text = (
        "{security_groups: [{id: sg-a, rules: [{direction: ingress, protocol: tcp, ports: 22, source: pl-a}]}], "
        f"prefix_lists: [{{id: pl-a, entries: [{entries}]}}]}}"
    )
    with pytest.raises(sgreplay.RulesError, match="1 to 200 entries"):
        sgreplay.Rules.parse(text)
    assert len(sgreplay.Rules.parse(text, no_quota=True)) == 1
