//! The files of a run: no output takes the place of an input or of another output, and each appears whole or
//! not at all.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::ArgMatches;
use sgreplay::capture::{PcapWriter, os_error};
use sgreplay::engine::CapturePoint;
use tempfile::NamedTempFile;

use crate::exit::Failure;
use crate::input::{STDIN, name};
use crate::signals;

/// The arguments that name a file to be written. Every other path among the arguments is read.
const OUTPUTS: [&str; 11] = [
    "fix",
    "report",
    "write_denied",
    "write_allowed",
    "write_changed",
    "annotate",
    "code_quality",
    "save",
    "markdown",
    "sarif",
    "junit",
];

/// The files that a command reads and writes, as the user names them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    /// Files, directories of files, and `-`.
    pub inputs: Vec<PathBuf>,
    /// The argument, with underscores, and the file.
    pub outputs: Vec<(&'static str, PathBuf)>,
}

impl Named {
    /// The paths of a command line.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let mut named = Self::default();
        let Some((_, matches)) = matches.subcommand() else { return named };
        for id in matches.ids().map(clap::Id::as_str) {
            let taps = matches.try_get_many::<CapturePoint>(id).ok().flatten();
            // What is no capture is the name of an interface in one, and no file is called so.
            named.inputs.extend(taps.into_iter().flatten().map(|tap| PathBuf::from(&tap.source)));
            let paths = matches.try_get_many::<PathBuf>(id).ok().flatten().into_iter().flatten();
            match OUTPUTS.into_iter().find(|output| *output == id) {
                Some(option) => named.outputs.extend(paths.map(|path| (option, path.clone()))),
                None => named.inputs.extend(paths.cloned()),
            }
        }
        named
    }

    /// Whether a file is written beside what is printed.
    pub(crate) fn writes(&self) -> bool {
        self.outputs.iter().any(|(_, path)| !is_stdout(path))
    }
}

/// The outputs of a run.
#[derive(Debug)]
pub(crate) struct Outputs {
    named: Named,
    /// Results are printed, so that nothing else has standard output to itself.
    prints: bool,
    pending: Vec<Pending>,
}

/// A file that is written and not yet in its place.
#[derive(Debug)]
struct Pending {
    file: NamedTempFile,
    /// As the user named it.
    name: String,
    place: PathBuf,
    /// Whether it is in the place's own directory.
    is_beside: bool,
}

impl Outputs {
    /// Checks what a command line names. Nothing is opened or touched.
    ///
    /// # Errors
    /// When an output is an input or another output.
    pub(crate) fn new(named: Named, prints: bool) -> Result<Self, Failure> {
        let mut outputs = Self { named: Named::default(), prints, pending: Vec::new() };
        outputs.add(named)?;
        Ok(outputs)
    }

    /// Adds what a file named by the command line names in turn; an option goes before its key.
    ///
    /// # Errors
    /// As with [`Self::new`], over all that is known now.
    pub(crate) fn add(&mut self, named: Named) -> Result<(), Failure> {
        self.named.inputs.extend(named.inputs);
        for (option, path) in named.outputs {
            if !self.named.outputs.iter().any(|(known, _)| *known == option) {
                self.named.outputs.push((option, path));
            }
        }
        self.check()
    }

    fn check(&self) -> Result<(), Failure> {
        let Named { inputs, outputs } = &self.named;
        let usage = |message: String| Err(Failure::Usage(message));
        if inputs.iter().filter(|path| path.as_os_str() == STDIN).count() > 1 {
            return usage("standard input can be read only once".to_owned());
        }
        let streams =
            [("standard output", stream(&io::stdout())), ("standard error", stream(&io::stderr()))];
        let streams: Vec<(&str, Identity)> =
            streams.into_iter().filter_map(|(name, of)| Some((name, of?))).collect();
        if outputs.is_empty() && streams.is_empty() {
            return Ok(());
        }
        let read: Vec<(&PathBuf, Identity)> = inputs
            .iter()
            .flat_map(|path| identities(path).into_iter().map(move |identity| (path, identity)))
            .collect();
        let input = |identity: &Identity| {
            read.iter().find(|(_, of)| of == identity).map(|(path, _)| name(path))
        };
        for (stream, identity) in &streams {
            if let Some(input) = input(identity) {
                let message = format!("{input} is being read, and {stream} goes into it");
                // The message goes where it does not.
                return Err(match *stream {
                    "standard error" => Failure::StandardError(message),
                    _ => Failure::Usage(message),
                });
            }
        }
        let mut known: Vec<(&str, Identity)> = Vec::new();
        for (option, path) in outputs {
            let shown = shown(option);
            if path.as_os_str() == STDIN && self.prints {
                return usage(format!(
                    "{shown} - goes to standard output, where the results are printed; add --quiet, or name a \
                     file"
                ));
            }
            let identity = match is_stdout(path) {
                true => Identity::Stdout,
                false => match Place::of(path) {
                    Ok(place) => place.identity,
                    // Said when it is to be opened.
                    Err(_) => continue,
                },
            };
            if let Some(input) = input(&identity) {
                let path = name(path);
                return usage(match input == path {
                    true => format!("{path} is being read; write to another file"),
                    false => format!(
                        "{shown} {path} is the same file as {input}, which is being read; write to another"
                    ),
                });
            }
            if let Some((stream, _)) = streams.iter().find(|(_, of)| *of == identity) {
                let path = name(path);
                return usage(format!("{stream} goes into {path}, and so does {shown}"));
            }
            // What is written there is lost, whoever writes it.
            if is_null(&identity) {
                continue;
            }
            if let Some((other, _)) = known.iter().find(|(_, of)| *of == identity) {
                let other = self::shown(other);
                return usage(format!("{other} and {shown} name the same file"));
            }
            known.push((option, identity));
        }
        Ok(())
    }

    /// Opens the file that an option names, if it names one. What is written is in its place after
    /// [`Self::finish`].
    ///
    /// # Errors
    /// When it cannot be written to.
    pub(crate) fn create(&mut self, option: &'static str) -> Result<Option<Output>, Failure> {
        let Some((_, path)) = self.named.outputs.iter().find(|(known, _)| *known == option) else {
            return Ok(None);
        };
        let path = path.clone();
        let to = self.open(&path).map_err(|error| failed(&name(&path), &error))?;
        Ok(Some(Output { path, to }))
    }

    fn open(&mut self, path: &Path) -> io::Result<Box<dyn Write + Send>> {
        if is_stdout(path) {
            return Ok(Box::new(Printing::new()));
        }
        let Place { path: place, meta, .. } = Place::of(path)?;
        if ends_in_separator(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        match &meta {
            Some(meta) if meta.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            // A pipe, a terminal, /dev/null.
            Some(meta) if !meta.is_file() => {
                return Ok(Box::new(OpenOptions::new().write(true).open(path)?));
            }
            // Whether it may be written to, which says nothing of its directory.
            Some(_) => drop(OpenOptions::new().write(true).open(&place)?),
            None => {}
        }
        let mut known = signals::temporary();
        let dir = place.parent().filter(|dir| !dir.as_os_str().is_empty());
        let beside = temporary(dir.unwrap_or(Path::new(".")), meta.as_ref());
        let (file, is_beside) = match (beside, &meta) {
            (Ok(file), _) => (file, true),
            // A directory that takes no new files may still have one that can be written to.
            (Err(_), Some(_)) => (temporary(&std::env::temp_dir(), None)?, false),
            (Err(error), None) => return Err(error),
        };
        known.push(file.path().to_owned());
        let to = file.as_file().try_clone()?;
        self.pending.push(Pending { file, name: name(path), place, is_beside });
        Ok(Box::new(to))
    }

    /// Puts all files in their places: everything asked for has been written, and the results are out.
    ///
    /// # Errors
    /// When the system does not allow it; what was there before is still there then.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        // Before the first takes its place, all are known to be on the disk.
        for Pending { file, name, .. } in &self.pending {
            file.as_file().sync_all().map_err(|error| failed(name, &error))?;
        }
        let mut known = signals::temporary();
        for Pending { file, name, place, is_beside } in self.pending.drain(..) {
            put(file, &place, is_beside).map_err(|error| failed(&name, &error))?;
        }
        known.clear();
        Ok(())
    }
}

impl Drop for Outputs {
    /// Removes what has not found its place.
    fn drop(&mut self) {
        let mut known = signals::temporary();
        self.pending.clear();
        known.clear();
    }
}

fn failed(name: &str, error: &io::Error) -> Failure {
    Failure::Usage(match error.kind() {
        io::ErrorKind::NotFound => format!("{name}: there is no such directory"),
        io::ErrorKind::IsADirectory => format!("{name}: is a directory"),
        _ => format!("{name}: {}", os_error(error)),
    })
}

/// A temporary file with the permissions and the owner of the one that it will replace, else with those of any
/// new file.
fn temporary(dir: &Path, replaced: Option<&Metadata>) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".sgreplay-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
        let Some(meta) = replaced else {
            // What the user's mask leaves of it.
            return builder.permissions(fs::Permissions::from_mode(0o666)).tempfile_in(dir);
        };
        let file = builder.tempfile_in(dir)?;
        // Only root may give a file away; then it is the user's own, as any that he writes.
        let _ = fchown(file.as_file(), Some(meta.uid()), Some(meta.gid()));
        file.as_file().set_permissions(fs::Permissions::from_mode(meta.mode() & 0o777))?;
        Ok(file)
    }
    #[cfg(not(unix))]
    {
        let _ = replaced;
        builder.tempfile_in(dir)
    }
}

/// Puts a file in its place; where the system renames nothing to there (a mounted file), by copying.
fn put(file: NamedTempFile, place: &Path, is_beside: bool) -> io::Result<()> {
    let file = match is_beside {
        false => file,
        true => match file.persist(place) {
            Ok(_) => return Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::ResourceBusy => error.file,
            Err(error) => return Err(error.error),
        },
    };
    let mut from = file.reopen()?;
    let mut to = OpenOptions::new().write(true).truncate(true).open(place)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()
}

/// A file to be written.
pub(crate) struct Output {
    path: PathBuf,
    to: Box<dyn Write + Send>,
}

impl Output {
    /// Writes all that it is to hold.
    pub(crate) fn whole(mut self, text: &str) -> Result<(), Failure> {
        let written = self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush());
        written.map_err(|error| match is_stdout(&self.path) {
            true => error.into(),
            false => failed(&name(&self.path), &error),
        })
    }

    /// Writes frames to it: as a pcapng if it is named so, else as a pcap.
    pub(crate) fn frames(self) -> Result<PcapWriter, Failure> {
        Ok(PcapWriter::new(&self.path, self.to)?)
    }

    /// Writes frames to it as a pcapng, whatever its name.
    pub(crate) fn pcapng(self) -> Result<PcapWriter, Failure> {
        Ok(PcapWriter::pcapng(&self.path, self.to)?)
    }
}

/// Whether a run has more to do than to print, so that a reader who leaves does not end it.
static GOES_ON: OnceLock<bool> = OnceLock::new();

/// Says, once, whether a gate or a file was asked for.
pub(crate) fn goes_on_without_reader(goes_on: bool) {
    let _ = GOES_ON.set(goes_on);
}

/// Standard output, buffered.
pub(crate) type Stdout = BufWriter<Printing>;

/// Standard output, buffered.
pub(crate) fn stdout() -> Stdout {
    BufWriter::with_capacity(1 << 16, Printing::new())
}

/// Standard output: when its reader leaves, the printing ends, and the run if it has nothing else to do.
#[derive(Debug)]
pub(crate) struct Printing {
    out: io::Stdout,
    goes_on: bool,
    is_closed: bool,
}

impl Printing {
    fn new() -> Self {
        let goes_on = GOES_ON.get().copied().unwrap_or_default();
        Self { out: io::stdout(), goes_on, is_closed: false }
    }

    /// An outcome: where nobody is left to read and the run goes on, as if all had been read.
    fn told<T>(&mut self, outcome: io::Result<T>, read: T) -> io::Result<T> {
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && self.goes_on => {
                self.is_closed = true;
                Ok(read)
            }
            outcome => outcome,
        }
    }
}

impl Write for Printing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_closed {
            return Ok(bytes.len());
        }
        let written = self.out.write(bytes);
        self.told(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let flushed = self.out.flush();
        self.told(flushed, ())
    }
}

/// What a file is, whatever it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Identity {
    /// One that there is: device and number.
    File(u64, u64),
    /// One that there is not yet: its directory's device and number, and its name there.
    Absent(u64, u64, OsString),
    Stdout,
}

/// Where an output is, or will be.
#[derive(Debug)]
struct Place {
    /// With symbolic links followed.
    path: PathBuf,
    identity: Identity,
    /// Of what is there.
    meta: Option<Metadata>,
}

/// So many symbolic links lead to one another at most.
const MOST_LINKS: usize = 40;

impl Place {
    fn of(path: &Path) -> io::Result<Self> {
        let mut at = path.to_owned();
        for _ in 0..MOST_LINKS {
            match fs::metadata(&at) {
                Ok(meta) => {
                    let identity = identity(&at, &meta)?;
                    // Pipes and the like have no other name.
                    let path = if meta.is_file() { fs::canonicalize(&at)? } else { at };
                    return Ok(Self { path, identity, meta: Some(meta) });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            let dir =
                at.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            // A link to what is not there yet.
            if let Ok(target) = fs::read_link(&at) {
                at = dir.join(target);
                continue;
            }
            let of_dir = identity(dir, &fs::metadata(dir)?)?;
            let (Identity::File(device, number), Some(name)) = (of_dir, at.file_name()) else {
                return Err(io::ErrorKind::InvalidFilename.into());
            };
            let identity = Identity::Absent(device, number, name.to_owned());
            return Ok(Self { path: at, identity, meta: None });
        }
        Err(io::Error::other("too many symbolic links"))
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "as on other systems")]
fn identity(_: &Path, meta: &Metadata) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;
    Ok(Identity::File(meta.dev(), meta.ino()))
}

/// Elsewhere the canonical path stands for the number.
#[cfg(not(unix))]
fn identity(path: &Path, _: &Metadata) -> io::Result<Identity> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    fs::canonicalize(path)?.hash(&mut hasher);
    Ok(Identity::File(0, hasher.finish()))
}

/// Files in a directory that no command reads: reports of an earlier run.
const WRITTEN_ONLY: [&str; 4] = ["html", "md", "sarif", "xml"];

/// What an input is; of a directory, it and the files in it.
fn identities(path: &Path) -> Vec<Identity> {
    if path.as_os_str() == STDIN {
        return stream(&io::stdin()).into_iter().collect();
    }
    let Ok(meta) = fs::metadata(path) else { return Vec::new() };
    let inside = meta.is_dir().then(|| fs::read_dir(path).ok()).flatten();
    let inside = inside.into_iter().flatten().filter_map(|entry| {
        let path = entry.ok()?.path();
        let kind = path.extension().and_then(|kind| kind.to_str());
        if kind.is_some_and(|kind| WRITTEN_ONLY.contains(&kind)) {
            return None;
        }
        identity(&path, &fs::metadata(&path).ok()?).ok()
    });
    identity(path, &meta).ok().into_iter().chain(inside).collect()
}

/// What a standard stream is, if it is a regular file.
#[cfg(unix)]
fn stream(of: &impl std::os::fd::AsFd) -> Option<Identity> {
    let file = File::from(of.as_fd().try_clone_to_owned().ok()?);
    let meta = file.metadata().ok().filter(Metadata::is_file)?;
    identity(Path::new(""), &meta).ok()
}

#[cfg(not(unix))]
fn stream<T>(_: &T) -> Option<Identity> {
    None
}

/// Whether it is the file that takes and keeps nothing.
fn is_null(of: &Identity) -> bool {
    let null = Path::new("/dev/null");
    fs::metadata(null).and_then(|meta| identity(null, &meta)).is_ok_and(|null| null == *of)
}

/// Whether a path is a name of standard output.
pub(crate) fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]
        .into_iter()
        .any(|name| path == Path::new(name))
}

fn ends_in_separator(path: &Path) -> bool {
    path.as_os_str()
        .as_encoded_bytes()
        .last()
        .is_some_and(|byte| std::path::is_separator(char::from(*byte)))
}

/// An option as it is typed.
fn shown(option: &str) -> String {
    format!("--{}", option.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use std::any::TypeId;
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::args::Args;

    /// A new option that names a file to be written belongs among the outputs.
    #[test]
    fn every_path_is_read_or_written() {
        let read = [
            "accept",
            "against_program",
            "against_rules",
            "captures",
            "compare",
            "current",
            "dir",
            "expectations",
            "file",
            "plan",
            "positional",
            "proposed",
            "read",
            "rules",
            "what",
        ];
        let mut command = Args::command();
        command.build();
        let arguments = command.get_subcommands().flat_map(clap::Command::get_arguments);
        let is_path =
            |arg: &&clap::Arg| arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
        let found: BTreeSet<&str> =
            arguments.filter(is_path).map(|arg| arg.get_id().as_str()).collect();
        let known: BTreeSet<&str> = read.into_iter().chain(OUTPUTS).collect();
        assert_eq!(found, known);
    }
}
