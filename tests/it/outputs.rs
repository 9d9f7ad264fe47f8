//! No output takes the place of an input or of another output; each appears whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::{ipv4, output_in, pcap_every, root};

/// A folder with a copy of everything that commands are given here.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["current.yaml", "proposed.yaml", "expectations.yaml", "accepted.yaml", "dns.pcap"]
    {
        fs::copy(root().join("captures").join(name), dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("sgreplay.yaml"), CI).unwrap();
    fs::create_dir(dir.path().join("rules")).unwrap();
    fs::copy(dir.path().join("current.yaml"), dir.path().join("rules/a.yaml")).unwrap();
    // A measurement takes as long as few packets take to come to so many.
    let packet = ipv4("203.0.113.9:40000", "10.0.0.5:53", "udp");
    fs::write(dir.path().join("many.pcap"), pcap_every(1, 101, &vec![&packet[..]; 100_000]))
        .unwrap();
    let bench =
        ["bench", "--rules", "current.yaml", "--runs", "1", "--save", "before.json", "many.pcap"];
    let (status, _, err) = output_in(dir.path(), &bench, b"");
    assert_eq!(status, 0, "{err}");
    dir
}

const CI: &str = "{current: current.yaml, proposed: proposed.yaml, captures: dns.pcap, local: 10.0.0.5, \
                  expectations: expectations.yaml, accept: accepted.yaml}\n";

/// Every file of a folder with its bytes.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let inside = contents(&path).into_iter();
            found.extend(inside.map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            found.insert(name, fs::read(&path).unwrap_or_default());
        }
    }
    found
}

/// Commands that write files: their words, the files that they read, the options that name what they write.
const WRITERS: [(&[&str], &[&str], &[&str]); 5] = [
    (
        &["replay", "--rules", "current.yaml", "--local", "10.0.0.5", "dns.pcap"],
        &["current.yaml", "dns.pcap"],
        &["--report", "--write-denied", "--write-allowed", "--annotate"],
    ),
    (
        &["replay", "--rules", "rules", "--local", "10.0.0.5", "dns.pcap"],
        &["rules/a.yaml"],
        &["--report", "--write-denied", "--write-allowed", "--annotate"],
    ),
    (
        &[
            "diff",
            "--current",
            "current.yaml",
            "--proposed",
            "proposed.yaml",
            "--accept",
            "accepted.yaml",
            "--local",
            "10.0.0.5",
            "dns.pcap",
        ],
        &["current.yaml", "proposed.yaml", "accepted.yaml", "dns.pcap"],
        &["--report", "--write-changed", "--annotate"],
    ),
    (
        &[
            "bench",
            "--rules",
            "current.yaml",
            "--runs",
            "1",
            "--compare",
            "before.json",
            "many.pcap",
        ],
        &["current.yaml", "before.json", "many.pcap"],
        &["--save"],
    ),
    (
        &["ci", "sgreplay.yaml"],
        &[
            "sgreplay.yaml",
            "current.yaml",
            "proposed.yaml",
            "accepted.yaml",
            "expectations.yaml",
            "dns.pcap",
        ],
        &["--markdown", "--sarif", "--junit"],
    ),
];

#[test]
fn no_output_is_an_input_by_any_name() {
    let dir = folder();
    fs::create_dir(dir.path().join("links")).unwrap();
    symlink(dir.path(), dir.path().join("links/here")).unwrap();
    let before = contents(dir.path());
    let mut tried = 0;
    for (words, inputs, options) in WRITERS {
        for (input, option) in inputs.iter().flat_map(|i| options.iter().map(move |o| (i, o))) {
            let (soft, hard) = ("links/soft", "links/hard");
            let (dotted, through) = (format!("./{input}"), format!("links/here/{input}"));
            symlink(dir.path().join(input), dir.path().join(soft)).unwrap();
            fs::hard_link(dir.path().join(input), dir.path().join(hard)).unwrap();
            let absolute = dir.path().join(input);
            let absolute = absolute.to_str().unwrap();
            for name in [*input, dotted.as_str(), absolute, soft, hard, through.as_str()] {
                let line = [words, &[option, name]].concat();
                let (status, out, err) = output_in(dir.path(), &line, b"");
                assert_eq!((status, out.as_str()), (2, ""), "{line:?}: {err}");
                assert!(err.contains("being read"), "{line:?}: {err}");
                tried += 1;
            }
            fs::remove_file(dir.path().join(soft)).unwrap();
            fs::remove_file(dir.path().join(hard)).unwrap();
            assert!(contents(dir.path()) == before, "{words:?} {option} {input}");
        }
    }
    assert_eq!(tried, 6 * (2 * 4 + 4 + 4 * 3 + 3 + 6 * 3));
}

/// The keys of a `ci` file name outputs as the options do.
#[test]
fn no_output_of_a_ci_file_is_an_input() {
    let dir = folder();
    for key in ["markdown", "sarif", "junit"] {
        for input in [
            "current.yaml",
            "proposed.yaml",
            "dns.pcap",
            "expectations.yaml",
            "accepted.yaml",
            "ci.yaml",
        ] {
            let text = CI.replace('}', &format!(", {key}: {input}}}"));
            fs::write(dir.path().join("ci.yaml"), text).unwrap();
            let before = contents(dir.path());
            let (status, out, err) = output_in(dir.path(), &["ci", "ci.yaml"], b"");
            assert_eq!((status, out.as_str()), (2, ""), "{key} {input}: {err}");
            assert!(err.contains("being read"), "{key} {input}: {err}");
            assert!(contents(dir.path()) == before, "{key} {input}");
        }
    }
}

/// What comes by standard input has a file behind it too, and so may have standard output.
#[test]
fn redirected_streams_are_files() {
    let dir = folder();
    let before = contents(dir.path());
    let lines = [
        "replay --rules - --local 10.0.0.5 dns.pcap --report current.yaml < current.yaml",
        "replay --rules current.yaml --local 10.0.0.5 - --annotate dns.pcap < dns.pcap",
        "ci - --sarif sgreplay.yaml < sgreplay.yaml",
        "replay --rules current.yaml --local 10.0.0.5 dns.pcap >> current.yaml",
        "replay --rules current.yaml --local 10.0.0.5 dns.pcap >> dns.pcap",
        "diff --current current.yaml --proposed proposed.yaml >> proposed.yaml",
        "check current.yaml >> current.yaml",
        "test current.yaml expectations.yaml >> expectations.yaml",
        "suggest dns.pcap >> dns.pcap",
        "ci sgreplay.yaml >> sgreplay.yaml",
        "ci sgreplay.yaml >> accepted.yaml",
        "convert current.yaml --to yaml >> current.yaml",
        "convert rules --to yaml >> rules/a.yaml",
        "explain --rules current.yaml --frame 1 dns.pcap >> dns.pcap",
        "decode - < dns.pcap >> dns.pcap",
        "decode dns.pcap 2>> dns.pcap",
        "bench --rules current.yaml --runs 1 many.pcap >> current.yaml",
        "replay -q --rules current.yaml --local 10.0.0.5 --report out.html dns.pcap > out.html",
    ];
    for line in lines {
        let line = format!("{} {line}", env!("CARGO_BIN_EXE_sgreplay"));
        let output =
            Command::new("sh").args(["-c", &line]).current_dir(dir.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}");
        // The shell has made it before the program was there.
        let _ = fs::remove_file(dir.path().join("out.html"));
        let after = contents(dir.path());
        assert!(after == before, "{line}");
        let message = [output.stdout, output.stderr].concat();
        let message = String::from_utf8(message).unwrap();
        assert!(["goes into", "being read"].iter().any(|why| message.contains(why)), "{line}");
    }
}

#[test]
fn no_two_outputs_are_one_file() {
    let dir = folder();
    fs::write(dir.path().join("old"), "old").unwrap();
    symlink("new", dir.path().join("link-to-new")).unwrap();
    symlink("old", dir.path().join("link-to-old")).unwrap();
    fs::hard_link(dir.path().join("old"), dir.path().join("old-too")).unwrap();
    let before = contents(dir.path());
    let names = [
        ("new", "new"),
        ("new", "./new"),
        ("new", "link-to-new"),
        ("rules/../new", "new"),
        ("old", "old"),
        ("old", "link-to-old"),
        ("old", "old-too"),
        ("/dev/stdout", "/dev/stdout"),
    ];
    for (words, _, options) in WRITERS {
        for (n, first) in options.iter().enumerate() {
            for (second, (a, b)) in
                options[n + 1..].iter().flat_map(|o| names.map(|pair| (o, pair)))
            {
                let line = [words, &[first, a, second, b]].concat();
                let (status, out, err) = output_in(dir.path(), &line, b"");
                assert_eq!((status, out.as_str()), (2, ""), "{line:?}: {err}");
                assert!(err.contains("name the same file"), "{line:?}: {err}");
                assert!(contents(dir.path()) == before, "{line:?}");
            }
        }
    }
    // What is not kept can be written twice.
    let both = ["--write-denied", "/dev/null", "--write-allowed", "/dev/null"];
    assert_eq!(output_in(dir.path(), &[WRITERS[0].0, &both].concat(), b"").0, 0);
}

#[test]
fn an_old_file_survives_a_run_that_fails() {
    let dir = folder();
    fs::write(dir.path().join("old"), "old").unwrap();
    fs::write(dir.path().join("broken.yaml"), "security_groups: 1\n").unwrap();
    fs::write(dir.path().join("ci-broken.yaml"), CI.replace("proposed.yaml", "broken.yaml"))
        .unwrap();
    let before = contents(dir.path());
    for (words, _, options) in WRITERS {
        for option in options {
            let broken = words.iter().map(|word| match *word {
                "current.yaml" => "broken.yaml",
                "rules" => "none",
                "sgreplay.yaml" => "ci-broken.yaml",
                word => word,
            });
            let line: Vec<&str> = broken.chain([*option, "old"]).collect();
            assert_eq!(output_in(dir.path(), &line, b"").0, 2, "{line:?}");
            assert!(contents(dir.path()) == before, "{line:?}");
            // Where results cannot be printed the run has failed.
            let line = [words, &[option, "old"]].concat();
            let full = fs::File::options().write(true).open("/dev/full").unwrap();
            let status = Command::new(env!("CARGO_BIN_EXE_sgreplay"))
                .args(&line)
                .current_dir(dir.path())
                .stdin(Stdio::null())
                .stdout(full)
                .stderr(Stdio::null())
                .status()
                .unwrap();
            assert_eq!(status.code(), Some(2), "{line:?}");
            assert!(contents(dir.path()) == before, "{line:?}");
        }
    }
}

/// A file that may not grow any more stands for a full disk.
#[test]
fn a_full_disk_leaves_the_old_file() {
    let dir = folder();
    let story = root().join("captures/story.pcap");
    fs::copy(story, dir.path().join("story.pcap")).unwrap();
    fs::write(dir.path().join("old"), "old").unwrap();
    let before = contents(dir.path());
    for option in ["--report", "--write-denied", "--write-allowed", "--annotate"] {
        let line = format!(
            "ulimit -f 8; exec {} replay --rules proposed.yaml story.pcap {option} old",
            env!("CARGO_BIN_EXE_sgreplay")
        );
        let output =
            Command::new("sh").args(["-c", &line]).current_dir(dir.path()).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{option}: {err}");
        assert!(err.contains("old: File too large"), "{option}: {err}");
        assert!(contents(dir.path()) == before, "{option}");
    }
}

/// The file that a symbolic link leads to is replaced, not the link; with its permissions, and others' links.
#[test]
fn links_and_permissions_stay() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("elsewhere")).unwrap();
    fs::write(at("elsewhere/page"), "old").unwrap();
    fs::set_permissions(at("elsewhere/page"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("elsewhere/page", at("link")).unwrap();
    symlink("elsewhere/to-come", at("dangling")).unwrap();
    let page = |name: &str| {
        let (status, _, err) =
            output_in(dir.path(), &[WRITERS[0].0, &["--report", name]].concat(), b"");
        assert_eq!(status, 0, "{name}: {err}");
    };
    page("link");
    page("dangling");
    page("new");
    for name in ["elsewhere/page", "elsewhere/to-come", "new"] {
        assert!(fs::read_to_string(at(name)).unwrap().contains("</html>"), "{name}");
    }
    for name in ["link", "dangling"] {
        assert!(at(name).symlink_metadata().unwrap().is_symlink(), "{name}");
    }
    assert_eq!(at("elsewhere/page").metadata().unwrap().mode() & 0o777, 0o640);
    // As any program makes a file: what the mask leaves.
    let status =
        Command::new("sh").args(["-c", "umask 027; : > by-shell"]).current_dir(dir.path()).status();
    assert!(status.unwrap().success());
    let line = format!(
        "umask 027; exec {} {} --report masked",
        env!("CARGO_BIN_EXE_sgreplay"),
        WRITERS[0].0.join(" ")
    );
    let status = Command::new("sh")
        .args(["-c", &line])
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    let mode = |name: &str| at(name).metadata().unwrap().mode() & 0o777;
    assert_eq!((mode("masked"), mode("by-shell")), (0o640, 0o640));
}

/// A directory that takes no new files does not keep a file in it from being written.
#[test]
fn a_file_in_a_closed_directory() {
    let dir = folder();
    let closed = dir.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("page"), "old").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    let is_closed = fs::write(closed.join("probe"), "").is_err();
    let (status, _, err) =
        output_in(dir.path(), &[WRITERS[0].0, &["--report", "closed/page"]].concat(), b"");
    assert_eq!(status, 0, "{err}");
    assert!(fs::read_to_string(closed.join("page")).unwrap().contains("</html>"));
    let (status, _, err) =
        output_in(dir.path(), &[WRITERS[0].0, &["--report", "closed/new"]].concat(), b"");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    if !is_closed {
        println!("SKIPPED: this user may write everywhere");
        return;
    }
    assert_eq!((status, err.as_str()), (2, "sgreplay: error: closed/new: permission denied\n"));
}

#[test]
fn what_cannot_be_written_is_said_before_anything_is_read() {
    let dir = folder();
    fs::create_dir(dir.path().join("folder")).unwrap();
    for (words, _, options) in WRITERS {
        for option in options {
            for (name, why) in [
                ("none/x", "there is no such directory"),
                ("folder", "is a directory"),
                ("x/", "is a directory"),
            ] {
                let before = contents(dir.path());
                let (status, out, err) =
                    output_in(dir.path(), &[words, &[option, name]].concat(), b"");
                assert_eq!((status, out.as_str()), (2, ""), "{words:?} {option} {name}");
                assert!(err.contains(&format!("{name}: {why}")), "{words:?} {option}: {err}");
                assert!(contents(dir.path()) == before, "{words:?} {option} {name}");
            }
        }
    }
}

#[test]
fn a_pipe_is_written_straight() {
    let dir = folder();
    for (words, _, options) in WRITERS {
        for option in options {
            let line = format!(
                "rm -f pipe; mkfifo pipe; cat pipe > copy & {} {} {option} pipe >/dev/null; s=$?; wait; \
                 test -p pipe && test -s copy && exit $s; exit 99",
                env!("CARGO_BIN_EXE_sgreplay"),
                words.join(" ")
            );
            let output =
                Command::new("sh").args(["-c", &line]).current_dir(dir.path()).output().unwrap();
            let err = String::from_utf8(output.stderr).unwrap();
            let wanted = i32::from(words[0] == "ci");
            assert_eq!(output.status.code(), Some(wanted), "{words:?} {option}: {err}");
        }
    }
}

/// `-` is standard output, where nothing else goes there; never a file of that name.
#[test]
fn a_hyphen_is_standard_output() {
    let dir = folder();
    for (words, _, options) in WRITERS {
        for option in options {
            let line = [words, &[option, "-"]].concat();
            let (status, out, err) = output_in(dir.path(), &line, b"");
            assert_eq!((status, out.as_str()), (2, ""), "{line:?}: {err}");
            assert!(err.contains("goes to standard output"), "{line:?}: {err}");
            let file = [words, &[option, "whole"]].concat();
            let wanted = i32::from(words[0] == "ci");
            assert_eq!(output_in(dir.path(), &file, b"").0, wanted);
            let raw = Command::new(env!("CARGO_BIN_EXE_sgreplay"))
                .args([&line[..], &["-q"]].concat())
                .current_dir(dir.path())
                .output()
                .unwrap();
            assert_eq!(raw.status.code(), Some(wanted), "{line:?}");
            let whole = fs::read(dir.path().join("whole")).unwrap();
            match words[0] {
                "bench" => assert!(raw.stdout.starts_with(b"{\n  \"schema\": 1"), "{line:?}"),
                // The page has the command line in it.
                _ if *option == "--report" => {
                    assert!(raw.stdout.ends_with(b"</html>"), "{line:?}");
                }
                _ => assert!(raw.stdout == whole, "{line:?}"),
            }
            assert!(!dir.path().join("-").exists(), "{line:?}");
        }
    }
    // In a file's keys too.
    for key in ["markdown", "sarif", "junit"] {
        fs::write(dir.path().join("ci.yaml"), CI.replace('}', &format!(", {key}: '-'}}"))).unwrap();
        let (status, out, _) = output_in(dir.path(), &["ci", "ci.yaml", "-q"], b"");
        assert_eq!(status, 1, "{key}");
        assert!(!out.is_empty() && !dir.path().join("-").exists(), "{key}");
        let (status, out, err) = output_in(dir.path(), &["ci", "ci.yaml"], b"");
        assert_eq!((status, out.as_str()), (2, ""), "{key}: {err}");
    }
    let both =
        output_in(dir.path(), &["ci", "sgreplay.yaml", "-q", "--sarif", "-", "--junit", "-"], b"");
    assert!(both.0 == 2 && both.2.contains("name the same file"), "{both:?}");
}

/// `/dev/stdout` is written straight, whatever it is, and loses nothing of what is printed.
#[test]
fn the_device_of_standard_output() {
    let dir = folder();
    for to in ["> out", ">> out", "| cat > out"] {
        let _ = fs::remove_file(dir.path().join("out"));
        let line = format!(
            "{} {} --report /dev/stdout {to}",
            env!("CARGO_BIN_EXE_sgreplay"),
            WRITERS[0].0.join(" ")
        );
        let status =
            Command::new("sh").args(["-c", &line]).current_dir(dir.path()).status().unwrap();
        assert!(status.success(), "{to}");
        let out = fs::read_to_string(dir.path().join("out")).unwrap();
        let (page, summary) = out.split_once("</html>").unwrap();
        assert!(page.starts_with("<!DOCTYPE html>"), "{to}");
        assert!(summary.contains("\ncapture  dns.pcap"), "{to}");
    }
}

/// A capture that breaks off has an answer, and its files are written.
#[test]
fn a_truncated_capture_ends_a_run_as_it_should() {
    let dir = folder();
    let whole = fs::read(dir.path().join("dns.pcap")).unwrap();
    fs::write(dir.path().join("cut.pcap"), &whole[..700]).unwrap();
    let words = ["replay", "--rules", "current.yaml", "--local", "10.0.0.5", "cut.pcap"];
    let (status, out, err) =
        output_in(dir.path(), &[&words[..], &["--report", "page"]].concat(), b"");
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("PARTIAL"), "{out}");
    let page = fs::read_to_string(dir.path().join("page")).unwrap();
    assert!(page.contains("</html>"));
    let open = "{security_groups: [{id: sg-a, rules: [{direction: ingress, protocol: all, source: 0.0.0.0/0}]}]}";
    fs::write(dir.path().join("open.yaml"), open).unwrap();
    let gated =
        ["replay", "--rules", "open.yaml", "--local", "10.0.0.5", "cut.pcap", "--report", "gated"];
    let (status, _, err) =
        output_in(dir.path(), &[&gated[..], &["--fail-on", "denied"]].concat(), b"");
    assert_eq!(status, 2, "{err}");
    assert!(dir.path().join("gated").exists());
}
