//! One stage, one module: each uses only those before it, and in a folder no two files use each other.

#![expect(clippy::string_slice, reason = "the code is ASCII where it is cut")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support;

/// The modules of the library in order; a module may use those before it, and itself.
const ORDER: [&str; 36] = [
    "yaml",
    "escape",
    "flow",
    "capture",
    "decode",
    "fragment",
    "read_ahead",
    "rules",
    "filter",
    "hints",
    "sources",
    "parse",
    "compile",
    "header_space",
    "direction",
    "evaluate",
    "restrictions",
    "check",
    "assertions",
    "session",
    "verdict",
    "doubts",
    "stats",
    "replay",
    "diff",
    "baseline",
    "labels",
    "collect",
    "suggest",
    "error",
    "engine",
    "extract",
    "report",
    "arrow",
    "convert",
    "manual",
];

/// Files of over 400 lines, without unit tests, each with its reason.
const LONG: [(&str, &str); 21] = [
    (
        "bin/sgreplay/command/judging.rs",
        "The arguments that all judging commands share stand beside their conversion into options.",
    ),
    (
        "bin/sgreplay/output.rs",
        "An output must differ from every input and output, by one comparison of identities.",
    ),
    (
        "capture/flow_log/columns.rs",
        "Each field's names in all dialects and the lines that they apply to are one table.",
    ),
    (
        "capture/pcapng.rs",
        "One reader holds the state of a section, which every block type reads or changes.",
    ),
    ("check/omissions.rs", "It is a list of short checks, a function each."),
    ("compile/axes.rs", "It converts packets and conditions to numbers on the same axes."),
    ("compile/diagram.rs", "One algorithm builds, merges and lays out a diagram."),
    (
        "direction/inference.rs",
        "The evidence for local addresses is weighed in one order of precedence.",
    ),
    ("header_space/partition.rs", "It is one recursive walk over the axes, with its budget."),
    ("header_space/region.rs", "It is one type, with its conversions and its text."),
    ("parse/alibaba.rs", "It reads the answers of one cloud's tools, a function per resource."),
    ("parse/aws.rs", "It reads the answers of one cloud's tools, a function per resource."),
    ("parse/azure.rs", "It reads the answers of one cloud's tools, a function per resource."),
    (
        "parse/hcl/mod.rs",
        "It evaluates blocks, attributes and references of one language in one scope.",
    ),
    ("read_ahead.rs", "It is one protocol between the threads that read, decode and judge."),
    (
        "report/changes.rs",
        "It prints the same changes as rows, JSON and text, so that their numbers agree.",
    ),
    (
        "report/coverage.rs",
        "It prints the same usage as JSON and text, so that their numbers agree.",
    ),
    (
        "report/text.rs",
        "It prints the summary, with the number formats that other reports use too.",
    ),
    (
        "rules/membership.rs",
        "Assumptions about unknown members stand beside the groups that they apply to.",
    ),
    ("rules/order.rs", "It defines the one order of entries, with the types that it consists of."),
    ("rules/validate/mod.rs", "One checker goes over all parts of a rule set in file order."),
];

/// A longer file needs a reason.
const MOST_LINES: usize = 400;

/// The path of a module, from the root of the library.
type Module = Vec<String>;

/// Files of a folder, without the program's and those of packages for other languages.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("bin") || path.ends_with("bindings") => {}
            true => files(&path, found),
            false if path.extension().is_some_and(|of| of == "rs") => found.push(path),
            false => {}
        }
    }
}

fn module(src: &Path, file: &Path) -> Module {
    let path = file.strip_prefix(src).unwrap().with_extension("");
    let mut path: Module =
        path.components().map(|of| of.as_os_str().to_str().unwrap().to_owned()).collect();
    if path.last().is_some_and(|last| last == "mod" || last == "lib") {
        path.pop();
    }
    path
}

/// The code without comments and unit tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path that the code names from `crate`, `super` or `self` on, with the trees of `use` expanded.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = ["crate::", "super::"].iter().filter_map(|from| rest.find(from)).min() {
        let starts = at == 0 || !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let (tree, after) = tree(&rest[at..]);
        if starts {
            expand(&[], tree, &mut found);
        }
        rest = after;
    }
    found
}

/// A path, with the braces at its end, and what follows.
fn tree(text: &str) -> (&str, &str) {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' if text[..at].ends_with("::") || depth > 0 => depth += 1,
            '}' if depth > 1 => depth -= 1,
            '}' if depth == 1 => return text.split_at(at + 1),
            _ if depth > 0 || c.is_alphanumeric() || c == '_' || c == ':' => {}
            _ => return text.split_at(at),
        }
    }
    (text, "")
}

fn expand(before: &[String], tree: &str, found: &mut Vec<Vec<String>>) {
    let (path, inner) = tree
        .split_once('{')
        .map_or((tree, None), |(path, inner)| (path, inner.trim_end().strip_suffix('}')));
    let words = path.split("::").map(|word| word.split_whitespace().next().unwrap_or_default());
    let words = words.filter(|word| !word.is_empty()).map(str::to_owned);
    let path: Vec<String> = before.iter().cloned().chain(words).collect();
    let Some(inner) = inner else { return found.push(path) };
    let (mut depth, mut from) = (0, 0);
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&path, inner[from..at].trim(), found);
                from = at + 1;
            }
            _ => {}
        }
    }
    expand(&path, inner[from..].trim(), found);
}

/// What each module uses of the others.
fn uses() -> BTreeMap<Module, BTreeSet<Module>> {
    let src = support::root().join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    let known: BTreeSet<Module> = all.iter().map(|file| module(&src, file)).collect();
    let mut found = BTreeMap::new();
    for file in &all {
        let own = module(&src, file);
        let used = paths(&code(&std::fs::read_to_string(file).unwrap()));
        let used = used.into_iter().filter_map(|path| {
            let ups = path.iter().take_while(|word| *word == "super").count();
            let mut full: Module = match path[0].as_str() {
                "crate" => path[1..].to_vec(),
                _ => [own.get(..own.len().checked_sub(ups)?)?, &path[ups..]].concat(),
            };
            while !full.is_empty() && !known.contains(&full) {
                full.pop();
            }
            (!full.is_empty() && full != own).then_some(full)
        });
        if !own.is_empty() {
            found.insert(own.clone(), used.collect());
        }
    }
    found
}

#[test]
fn a_stage_uses_only_the_stages_before_it() {
    let position = |module: &str| {
        let position = ORDER.iter().position(|known| *known == module);
        position.unwrap_or_else(|| panic!("`{module}` has no place in the order of the modules"))
    };
    let mut checked = 0;
    for (module, used) in uses() {
        let own = position(&module[0]);
        for used in used {
            let (module, used) = (module.join("::"), used.join("::"));
            let of = position(used.split("::").next().unwrap());
            assert!(of <= own, "{module} uses {used}, which comes after it");
            checked += 1;
        }
    }
    assert!(checked > 300, "the test has found little to check: {checked}");
}

/// Files beside each other make no circle. What a folder's own file has, those in it may use.
#[test]
fn no_two_files_of_a_folder_use_each_other() {
    let uses = uses();
    let beside = |a: &Module, b: &Module| {
        a.len() > 1 && b.len() > 1 && !a.starts_with(b) && !b.starts_with(a)
    };
    let mut checked = 0;
    for start in uses.keys() {
        let (mut reached, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(module) = open.pop() {
            for used in &uses[module] {
                if used[0] == start[0] && beside(module, used) && reached.insert(used) {
                    open.push(used);
                    checked += 1;
                }
            }
        }
        assert!(
            !reached.contains(start),
            "{} uses itself, by way of {reached:?}",
            start.join("::")
        );
    }
    assert!(checked > 100, "the test has found little to check: {checked}");
}

/// YAML is read within bounds, and one module knows by which crate.
#[test]
fn one_module_reads_yaml() {
    let src = support::root().join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    files(&src.join("bin/sgreplay"), &mut all);
    let mut known = 0;
    for file in all {
        let knows = std::fs::read_to_string(&file).unwrap().contains("serde_yaml::");
        assert!(!knows || file.starts_with(src.join("yaml")), "{}", file.display());
        known += usize::from(knows);
    }
    assert!(known > 0, "the test has found nothing to check");
}

/// A long file has a reason in the list, and a file that is not long any more has left it.
#[test]
fn a_file_over_400_lines_has_a_reason() {
    let src = support::root().join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    files(&src.join("bin/sgreplay"), &mut all);
    let long = all.iter().filter_map(|file| {
        let text = std::fs::read_to_string(file).unwrap();
        let lines = text.split("#[cfg(test)]\nmod tests {").next().unwrap().lines().count();
        let name = file.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
        (lines > MOST_LINES).then_some(name)
    });
    let long: BTreeSet<String> = long.collect();
    let listed: BTreeSet<String> = LONG.iter().map(|(file, _)| (*file).to_owned()).collect();
    let without_reason: Vec<_> = long.difference(&listed).collect();
    assert!(without_reason.is_empty(), "split them, or give a reason: {without_reason:?}");
    let not_long: Vec<_> = listed.difference(&long).collect();
    assert!(not_long.is_empty(), "they are not long any more: {not_long:?}");
    assert!(LONG.iter().all(|(_, reason)| reason.ends_with('.')), "a reason is a sentence");
}
