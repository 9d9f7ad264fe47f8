//! One stage, one module: each uses only those before it.

use crate::support;

/// The stages in order; a module may use those to its left, and itself.
const ORDER: [&str; 21] = [
    "yaml",
    "escape",
    "flow",
    "capture",
    "decode",
    "fragment",
    "ahead",
    "rules",
    "filter",
    "hints",
    "sources",
    "parse",
    "compile",
    "space",
    "direction",
    "evaluate",
    "overlay",
    "check",
    "session",
    "verdict",
    "tally",
];

fn sources(dir: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("bin") => {}
            true => sources(&path, found),
            false => found.push(path),
        }
    }
}

#[test]
fn a_stage_uses_only_the_stages_before_it() {
    let src = support::root().join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let position = |module: &str| ORDER.iter().position(|known| *known == module);
    let mut checked = 0;
    for file in files {
        let relative = file.strip_prefix(&src).unwrap();
        let module = relative
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs");
        // What stands at the end of the line may use everything.
        let Some(own) = position(module) else { continue };
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let code = line.trim_start();
            if code.starts_with("//") {
                continue;
            }
            for used in code.split("crate::").skip(1) {
                let used: String =
                    used.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                let Some(used) = position(&used) else { continue };
                assert!(used <= own, "{module} uses {}, which comes after it: {line}", ORDER[used]);
                checked += 1;
            }
        }
    }
    assert!(checked > 30, "the test has found nothing to check");
}

/// YAML is read within bounds, and one module knows by which crate.
#[test]
fn one_module_reads_yaml() {
    let src = support::root().join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    sources(&src.join("bin/sgreplay"), &mut files);
    let mut known = 0;
    for file in files {
        let knows = std::fs::read_to_string(&file).unwrap().contains("serde_yaml::");
        assert!(!knows || file.starts_with(src.join("yaml")), "{}", file.display());
        known += usize::from(knows);
    }
    assert!(known > 0, "the test has found nothing to check");
}
