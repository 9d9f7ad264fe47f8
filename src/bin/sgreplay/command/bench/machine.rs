//! The machine and the program of a measurement.

use std::thread::available_parallelism;

use sgreplay::compile::Instructions;
use sgreplay::report::{Build, Machine};

/// This machine, as far as the system tells.
pub(super) fn machine() -> Machine {
    Machine {
        cpu: cpu(),
        cores: available_parallelism().map_or(0, std::num::NonZeroUsize::get),
        system: system(),
        simd: Instructions::best().as_str().to_owned(),
    }
}

/// This program.
pub(super) fn build() -> Build {
    let features = [
        ("arrow", cfg!(feature = "arrow")),
        ("hcl", cfg!(feature = "hcl")),
        ("html", cfg!(feature = "html")),
        ("parquet", cfg!(feature = "parquet")),
        ("threads", cfg!(feature = "threads")),
        ("zstd", cfg!(feature = "zstd")),
    ];
    Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        features: features
            .into_iter()
            .filter(|(_, on)| *on)
            .map(|(name, _)| name.to_owned())
            .collect(),
        optimised: !cfg!(debug_assertions),
    }
}

/// The model of the processor; some name none in `model name`, so its family, model and stepping stand beside it.
#[cfg(target_os = "linux")]
fn cpu() -> Option<String> {
    cpu_of(&std::fs::read_to_string("/proc/cpuinfo").ok()?)
}

#[cfg(not(target_os = "linux"))]
fn cpu() -> Option<String> {
    None
}

#[cfg(target_os = "linux")]
fn cpu_of(info: &str) -> Option<String> {
    let find = |key: &str| {
        info.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        })
    };
    if let Some(name) = find("model name") {
        let numbers = ["cpu family", "model", "stepping"].map(find);
        return Some(match numbers.into_iter().collect::<Option<Vec<_>>>() {
            Some(numbers) => format!("{name} ({})", numbers.join("/")),
            None => name,
        });
    }
    // ARM has no names but numbers.
    Some(format!("{} {}", find("CPU implementer")?, find("CPU part")?))
}

/// The system with its release, where it tells.
fn system() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let name = format!("{} {} {}", std::env::consts::OS, release.trim(), std::env::consts::ARCH);
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named() {
        let amd = "vendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nstepping\t: 1\n";
        assert_eq!(cpu_of(amd).as_deref(), Some("AMD EPYC (26/2/1)"));
        let arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n";
        assert_eq!(cpu_of(arm).as_deref(), Some("0x41 0xd0c"));
        assert_eq!(cpu_of("nothing"), None);
    }
}
