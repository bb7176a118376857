//! Which PostgreSQL installation the tests run against, and as whom its server runs.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use nix::unistd::{Uid, User};

/// A PostgreSQL installation and the account for its server.
#[derive(Debug)]
pub struct Installation {
    pub bin: PathBuf,
    /// Where loadable libraries are.
    pub libraries: PathBuf,
    /// What `postgres --version` says.
    pub version: String,
    /// The account that the server runs as, when we are root, which the server refuses to be.
    pub account: Option<(u32, u32)>,
}

impl Installation {
    /// The installation that `PG_CONFIG` names, or the first `pg_config` in `PATH`.
    pub fn get() -> &'static Self {
        static FOUND: OnceLock<Installation> = OnceLock::new();
        FOUND.get_or_init(Self::find)
    }

    fn find() -> Self {
        let pg_config = std::env::var("PG_CONFIG").unwrap_or_else(|_| "pg_config".to_owned());
        let bin = PathBuf::from(output(Command::new(&pg_config).arg("--bindir")));
        let libraries = PathBuf::from(output(Command::new(&pg_config).arg("--pkglibdir")));
        let version = output(Command::new(bin.join("postgres")).arg("--version"));
        let account = Uid::effective().is_root().then(|| {
            let user = User::from_name("postgres")
                .expect("the account database is readable")
                .expect("as root, an account `postgres` is needed for the server");
            (user.uid.as_raw(), user.gid.as_raw())
        });
        Self {
            bin,
            libraries,
            version,
            account,
        }
    }
}

/// What a command prints, trimmed; panics when it fails.
fn output(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
