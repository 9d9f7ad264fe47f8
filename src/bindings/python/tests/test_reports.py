"""`diff`, `check`, `suggest` and `test` say what the program says."""

import pytest
from conftest import LOCAL, program, program_json

import sgreplay

pytestmark = pytest.mark.filterwarnings("ignore::sgreplay.SgreplayWarning")
WORDS = [f"--local={address}" for address in LOCAL]


@pytest.fixture
def proposed():
    return sgreplay.Rules.load("proposed.yaml", local=LOCAL)


def test_a_diff_of_captures_is_the_programs(rules, proposed):
    d = sgreplay.diff(rules, proposed, ["story.pcap"])
    words = ["diff", "--current", "current.yaml", "--proposed", "proposed.yaml", "story.pcap", *WORDS]
    assert d.summary == program_json(*words)
    assert d.changes == d.summary["changes"] and d.changes
    assert d.regions == d.summary["regions"]
    assert d.fails("newly_denied") and d.fails("any")
    assert d.fails("newly_allowed") == (d.summary["connections"]["newly_allowed"] > 0)


def test_accepted_changes_fail_nothing(rules, proposed):
    d = sgreplay.diff(rules, proposed, "story.pcap", accept="accepted.yaml")
    words = ["diff", "--current", "current.yaml", "--proposed", "proposed.yaml", "story.pcap", *WORDS]
    assert d.summary == program_json(*words, "--accept", "accepted.yaml")


def test_a_diff_without_captures_is_exact(rules, proposed):
    d = sgreplay.diff(rules, proposed)
    assert d.summary == program_json("diff", "--current", "current.yaml", "--proposed", "proposed.yaml", *WORDS)
    assert d.changes == [] and d.regions
    assert not sgreplay.diff(rules, rules).fails("any")


def test_both_sides_are_about_one_interface(rules):
    with pytest.raises(sgreplay.Error, match="local= must be the same"):
        sgreplay.diff(rules, sgreplay.Rules.load("proposed.yaml", local="10.0.0.6"), "story.pcap")


def test_a_diff_that_cannot_say_no_says_so(rules, tmp_path):
    cut = tmp_path / "cut.pcap"
    with open("ssh.pcap", "rb") as whole:
        cut.write_bytes(whole.read()[:-7])
    d = sgreplay.diff(rules, rules, cut)
    with pytest.raises(sgreplay.NoFullAnswer):
        d.fails("newly_denied")
    with pytest.raises(sgreplay.Error, match="the conditions are any, newly_allowed, newly_denied"):
        d.fails("denied")


def test_findings_are_the_programs(proposed):
    c = sgreplay.check(proposed)
    assert c.summary == program_json("check", "proposed.yaml", *WORDS)
    assert c.findings == c.summary["findings"]
    for severity in ["warning", "error"]:
        ran = program("check", "proposed.yaml", *WORDS, "--fail-on", severity, status=None)
        assert ran is not None
    assert c.fails("error") == any(one["severity"] == "error" for one in c.findings)


def test_suggestions_are_the_programs_and_are_rules(rules):
    s = sgreplay.suggest("story.pcap", rules=rules, aggregate="/24")
    words = ["suggest", "--rules", "current.yaml", "story.pcap", "--aggregate", "/24", *WORDS]
    assert s.summary == program_json(*words)
    assert s.text == program(*words)
    assert not sgreplay.replay(
        sgreplay.Rules.parse(s.text, local=LOCAL), "ssh.pcap", filter="tcp port 22"
    ).summary["packets"]["denied"] or len(s.rules)


def test_rules_are_suggested_of_captures_alone():
    s = sgreplay.suggest("ssh.pcap", local=LOCAL)
    assert s.summary == program_json("suggest", "ssh.pcap", *WORDS)
    with pytest.raises(sgreplay.Error, match="expected a prefix length"):
        sgreplay.suggest("ssh.pcap", aggregate="wide")


def test_expectations_are_tested_as_the_program_tests_them(rules, proposed):
    for file, of in [("current.yaml", rules), ("proposed.yaml", proposed)]:
        t = sgreplay.test(of, "expectations.yaml")
        assert t.summary == program_json("test", file, "expectations.yaml", *WORDS, status=None)
        assert t.results == t.summary["results"]
        assert t.fails() == (t.summary["failed"] > 0)


def test_a_file_of_expectations_that_is_wrong_is_an_error(rules, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("expectations:\n  - {name: a, prots: 22, verdict: allow}\n")
    with pytest.raises(sgreplay.RulesError) as raised:
        sgreplay.test(rules, wrong)
    assert (raised.value.file, raised.value.line) == (str(wrong), 2)


def test_rules_that_are_not_whole_pass_no_gate():
    plan = (
        '{"format_version": "1.2", "planned_values": {"root_module": {"resources": []}}, "resource_changes": ['
        '{"address": "alicloud_security_group.a", "mode": "managed", "type": "alicloud_security_group", "name": "a", '
        '"change": {"actions": ["create"], "before": null, "after": {"name": "a"}, "after_unknown": {"id": true}}}, '
        '{"address": "alicloud_security_group_rule.r", "mode": "managed", "type": "alicloud_security_group_rule", '
        '"name": "r", "change": {"actions": ["create"], "before": null, "after": {"type": "ingress", "ip_protocol": '
        '"tcp", "port_range": "22/22"}, "after_unknown": {"cidr_ip": true, "security_group_id": true}}}]}'
    )
    try:
        rules = sgreplay.Rules.parse(plan, name="plan.json", local=LOCAL)
    except sgreplay.Error:
        # It is refused, which passes no gate either.
        return
    c = sgreplay.check(rules)
    with pytest.raises(sgreplay.NoFullAnswer):
        c.fails("error")
