//! Signals: an interrupt asks for the results so far; the others end the program, and no temporary file stays.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The temporary files there are, to be removed when a signal ends the program.
static TEMPORARY: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// The temporary files; while the guard is held no signal ends the program.
pub(crate) fn temporary() -> MutexGuard<'static, Vec<PathBuf>> {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the watching thread shares with the rest.
#[derive(Debug, Default)]
struct Watch {
    /// The first interrupt sets it; a second one ends the program.
    interrupted: Arc<AtomicBool>,
    /// Somebody looks at it. Until then the first interrupt ends the program.
    is_asked: AtomicBool,
}

static WATCH: OnceLock<Watch> = OnceLock::new();

/// A flag that the first interrupt sets from now on.
pub(crate) fn interrupted() -> Arc<AtomicBool> {
    watch();
    let watch = WATCH.get_or_init(Watch::default);
    watch.is_asked.store(true, Ordering::Relaxed);
    Arc::clone(&watch.interrupted)
}

/// Starts watching, once.
pub(crate) fn watch() {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        let watch = WATCH.get_or_init(Watch::default);
        // Where the system allows no watch, signals do what they do by default.
        #[cfg(unix)]
        let _ = start(watch);
        #[cfg(not(unix))]
        let _ = start_flag(watch);
    });
}

#[cfg(unix)]
fn start(watch: &'static Watch) -> std::io::Result<()> {
    use signal_hook::consts::{
        SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ,
    };
    use signal_hook::iterator::Signals;

    // A file that may not grow is an error of writing, as a full disk is.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    let ending = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU];
    let ignored = ignored();
    let heeded = ending.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let mut signals = Signals::new(heeded)?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let first = signal == SIGINT && watch.is_asked.load(Ordering::Relaxed);
            if first && !watch.interrupted.swap(true, Ordering::Relaxed) {
                continue;
            }
            let files = temporary();
            for file in files.iter() {
                // It may be gone already.
                let _ = std::fs::remove_file(file);
            }
            // The guard is held to the end: nothing is written or renamed any more.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            drop(files);
        }
    })?;
    Ok(())
}

#[cfg(not(unix))]
fn start_flag(watch: &'static Watch) -> std::io::Result<()> {
    use signal_hook::consts::SIGINT;
    let flag = || Arc::clone(&watch.interrupted);
    signal_hook::flag::register_conditional_shutdown(SIGINT, 130, flag())?;
    signal_hook::flag::register(SIGINT, flag())?;
    Ok(())
}

/// The signals that the program was started to ignore, as `nohup` does: bit n - 1 for signal n.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}
