//! The manual holds together: cited clauses exist, and links lead somewhere.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use pulldown_cmark::{BrokenLink, Event, Options, Parser, Tag, TagEnd};
use sgreplay::rules::Builtin;
use sgreplay::session::Opening;
use sgreplay::verdict::Reason;

use crate::readme::pages;
use crate::support::{output_in, root};

/// Every clause cited as `SEMANTICS A4` in the code and its tests is a heading of the specification.
#[test]
fn cited_clauses_exist() {
    let page = std::fs::read_to_string(root().join("src/manual/semantics.md")).unwrap();
    let known: BTreeSet<String> =
        headings(&page).iter().filter_map(|heading| clause(heading)).collect();
    let mut cited = 0;
    for folder in ["src", "tests"] {
        for path in files(&root().join(folder)) {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            for citation in citations(&text) {
                let missing: Vec<&String> =
                    citation.iter().filter(|clause| !known.contains(*clause)).collect();
                assert!(
                    missing.is_empty(),
                    "{} cites {missing:?}, which semantics.md has no heading for",
                    path.display()
                );
                cited += citation.len();
            }
        }
    }
    assert!(cited > 80, "the test has found only {cited} citations");
}

/// A citation may go on in the next line of a comment, name several clauses, or name a range of them.
#[test]
fn citations_are_recognised() {
    let text = "\
        // Twice (SEMANTICS A4, A5; SEMANTICS\n    //! F21 to F23), and `SEMANTICS HV2 and HV3`.\n\
        /// SEMANTICS A5 step 3, SEMANTICS H1, H-f, SEMANTICS Part F. A bare SEMANTICS cites nothing.";
    let found = citations(text);
    let found: Vec<String> = found.iter().map(|clauses| clauses.join(" ")).collect();
    assert_eq!(found, ["A4 A5", "F21 F22 F23", "HV2 HV3", "A5", "H1 H-f", "F"]);
}

/// The clauses of each citation in a text.
fn citations(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().map(|line| line.trim_start().trim_start_matches(['/', '!', '#']));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let starts = words.iter().enumerate().filter(|(_, word)| word.ends_with("SEMANTICS"));
    let found = starts.map(|(n, _)| citation(&words[n + 1..]));
    found.filter(|clauses| !clauses.is_empty()).collect()
}

/// The clauses that words begin with: `A4, A5`, `F21 to F23`, `HV2 and HV3`, `Part F`.
fn citation(words: &[&str]) -> Vec<String> {
    let mut cited: Vec<String> = Vec::new();
    let mut is_range = false;
    for word in words {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let ends_here = word.len() > bare.len() && !word.ends_with(',');
        match *word {
            "Part" if cited.is_empty() => continue,
            "and" => continue,
            "to" => {
                is_range = true;
                continue;
            }
            _ if !is_clause(bare) => break,
            _ => {}
        }
        let last = cited.last().and_then(|last| numbered(last)).filter(|_| is_range);
        match (last, numbered(bare)) {
            (Some((letters, from)), Some((_, to))) => {
                let letters = letters.to_owned();
                cited.extend((from + 1..=to).map(|number| format!("{letters}{number}")));
            }
            _ => cited.push(bare.to_owned()),
        }
        is_range = false;
        if ends_here {
            break;
        }
    }
    cited
}

/// Whether a word is a clause (`A4`, `HV2`, `H-f`) or a part (`F`).
fn is_clause(word: &str) -> bool {
    match word.as_bytes() {
        [b'A'..=b'H'] => true,
        [b'H', b'-', letter] => letter.is_ascii_lowercase(),
        _ => numbered(word).is_some(),
    }
}

/// `A4` as its letters and its number.
fn numbered(word: &str) -> Option<(&str, u32)> {
    let (letters, number) = word.split_at(word.find(|c: char| c.is_ascii_digit())?);
    let is_known = letters == "HV" || matches!(letters.as_bytes(), [b'A'..=b'H']);
    Some((letters, number.parse().ok()?)).filter(|_| is_known)
}

/// The clause that a heading is of, such as `A4. Order and verdict`.
fn clause(heading: &str) -> Option<String> {
    let first = heading.split(['.', ' ']).next()?;
    is_clause(first).then(|| first.to_owned())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found = Vec::new();
    for path in entries {
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// Every column that a program may rely on is in the manual, and every word of the most important ones.
#[test]
fn columns_are_documented() {
    use sgreplay::collect::Connections;
    use sgreplay::report::{
        CHANGE_COLUMNS, DECODE_COLUMNS, EMBEDDED_COLUMNS, FINDING_COLUMNS, REGION_COLUMNS,
        VERDICT_COLUMNS,
    };
    let page = std::fs::read_to_string(root().join("src/manual/json.md")).unwrap();
    let names = code_spans(&page);
    let columns: [&[&str]; 7] = [
        &DECODE_COLUMNS,
        &EMBEDDED_COLUMNS,
        &VERDICT_COLUMNS,
        &Connections::COLUMNS,
        &CHANGE_COLUMNS,
        &REGION_COLUMNS,
        &FINDING_COLUMNS,
    ];
    let words = Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>();
    let builtins = Builtin::ALL.iter().map(|builtin| builtin.as_str()).collect::<Vec<_>>();
    let openings = Opening::INFERRED.map(Opening::as_str);
    let all = [&columns.concat()[..], &words, &builtins, &openings].concat();
    let missing: Vec<&str> =
        all.into_iter().filter(|name| !names.iter().any(|known| known == name)).collect();
    assert!(missing.is_empty(), "json.md lacks {missing:?}");
}

/// The error about an unknown key lists all keys of the file of `sgreplay ci`; so does the manual.
#[test]
fn keys_of_ci_are_documented() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("sgreplay.yaml"), "nothing: 1").unwrap();
    let (status, _, message) = output_in(dir.path(), &["ci"], b"");
    assert_eq!(status, 2);
    let (_, keys) = message.split_once("expected one of").unwrap();
    let keys = keys.lines().next().unwrap();
    let keys: Vec<&str> = keys.split('`').skip(1).step_by(2).collect();
    assert!(keys.len() > 15, "{message}");
    let page = std::fs::read_to_string(root().join("src/manual/ci.md")).unwrap();
    let names = code_spans(&page);
    let missing: Vec<&&str> =
        keys.iter().filter(|key| !names.iter().any(|known| known == *key)).collect();
    assert!(missing.is_empty(), "ci.md lacks {missing:?}");
}

/// Options of ours that the manual names exist.
#[test]
fn options_exist() {
    let commands = [
        "replay",
        "diff",
        "check",
        "test",
        "init",
        "suggest",
        "ci",
        "convert",
        "explain",
        "decode",
        "bench",
        "scenarios",
        "services",
    ];
    let help = |command: &str| output_in(root(), &[command, "--help"], b"").1;
    let help: String = commands.map(help).concat();
    let known: BTreeSet<&str> = help.split(|c: char| !is_of_an_option(c)).collect();
    let mut checked = 0;
    for (path, text) in pages() {
        for span in code_spans(&text) {
            // Others have options too.
            if !["--", "sgreplay "].iter().any(|start| span.starts_with(start)) {
                continue;
            }
            for option in span.split(|c: char| !is_of_an_option(c)) {
                // `--baseline` is criterion's.
                if option.starts_with("--") && !["--", "--baseline"].contains(&option) {
                    assert!(known.contains(option), "{}: {option}", path.display());
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 30, "the test has found only {checked} options");
}

fn is_of_an_option(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

fn code_spans(text: &str) -> Vec<String> {
    let spans = Parser::new(text).filter_map(|event| match event {
        Event::Code(code) => Some(code.to_string()),
        _ => None,
    });
    spans.collect()
}

/// Every relative link of the README and the manual leads to a file, and its fragment to a heading there.
#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let anchors: HashMap<PathBuf, Vec<String>> =
        pages.iter().map(|(path, text)| (path.clone(), slugs(&headings(text)))).collect();
    let mut checked = 0;
    for (path, text) in &pages {
        for event in Parser::new(text) {
            let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event
            else {
                continue;
            };
            if dest_url.contains("://") {
                continue;
            }
            let at = format!("{}: {dest_url}", path.display());
            let (file, fragment) = match dest_url.split_once('#') {
                Some((file, fragment)) => (file, Some(fragment)),
                None => (&*dest_url, None),
            };
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{at}");
            if let Some(fragment) = fragment {
                let known = anchors.get(&target.canonicalize().unwrap()).or(anchors.get(&target));
                let known = known.unwrap_or_else(|| panic!("{at}: anchors of pages only"));
                assert!(known.iter().any(|slug| slug == fragment), "{at}");
            }
            checked += 1;
        }
    }
    assert!(checked > 10, "the test has found only {checked} links");
}

/// The texts of a page's headings.
fn headings(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut heading: Option<String> = None;
    for event in Parser::new(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => found.extend(heading.take()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    found
}

/// The anchors that code hosts give to headings; the second of one name ends in `-1`.
fn slugs(headings: &[String]) -> Vec<String> {
    let mut seen: HashMap<String, u32> = HashMap::new();
    let slug = |heading: &String| {
        let text = heading.to_lowercase();
        let text = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        text.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
    };
    let slugs = headings.iter().map(slug);
    slugs
        .map(|slug| {
            let times = seen.entry(slug.clone()).or_insert(0);
            *times += 1;
            if *times == 1 { slug } else { format!("{slug}-{}", *times - 1) }
        })
        .collect()
}

/// A reference link without a definition is plain text, which no other check would notice.
#[test]
fn references_are_defined() {
    for (path, text) in pages() {
        let mut undefined = Vec::new();
        let note = |link: BrokenLink<'_>| {
            undefined.push(link.reference.to_string());
            None
        };
        Parser::new_with_broken_link_callback(&text, Options::empty(), Some(note)).for_each(drop);
        assert!(undefined.is_empty(), "{}: {undefined:?}", path.display());
    }
}
