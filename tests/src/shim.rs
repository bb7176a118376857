//! Sets the clock of a cluster and fills its disk, by a library that is loaded before all others into its processes
//! (`tests/shim/shim.rs`). It is compiled here, so that a test needs nothing but the compiler that it was built with.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/shim/shim.rs");

/// What cannot grow any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There is room.
    Nothing = 0,
    /// The files of tables and indexes: a statement fails.
    Tables = 1,
    /// The write-ahead log as well: the server gives up when it needs a new segment.
    Everything = 2,
}

/// The library and the file that it reads.
#[derive(Debug)]
pub struct Shim {
    library: PathBuf,
    control: PathBuf,
    file: File,
}

impl Shim {
    /// Compiles the library into a folder that the server's account may enter.
    pub(crate) fn new(folder: &Path) -> Self {
        let library = folder.join("shim.so");
        let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args(["--edition", "2024", "--crate-type", "cdylib"])
            .args(["-C", "opt-level=1", "-C", "panic=abort", "-o"])
            .arg(&library)
            .arg(SOURCE)
            .output()
            .expect("rustc runs");
        assert!(
            output.status.success(),
            "the shim does not compile: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let control = folder.join("shim");
        fs::write(&control, [0; 16]).expect("the folder can be written");
        for path in [&library, &control] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        let file = OpenOptions::new().write(true).open(&control);
        Self {
            library,
            control,
            file: file.expect("it is ours"),
        }
    }

    /// Adds it to the command that starts the server.
    pub(crate) fn preload(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("WF_SHIM", &self.control);
    }

    /// From now on the server's clock is so many seconds ahead of real time, or behind it.
    pub fn set_clock(&self, seconds: i64) {
        self.write(0, (seconds * 1_000_000_000).to_ne_bytes());
    }

    /// From now on there is no room, or there is again.
    pub fn fill(&self, full: Full) {
        self.write(8, (full as u64).to_ne_bytes());
    }

    fn write(&self, at: u64, bytes: [u8; 8]) {
        self.file
            .write_all_at(&bytes, at)
            .expect("a small file can be written");
    }
}
