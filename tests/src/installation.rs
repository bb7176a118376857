//! Which PostgreSQL installation the tests run against, and as whom its server runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use nix::unistd::{Uid, User};

/// A PostgreSQL installation and the account for its server.
#[derive(Clone, Debug)]
pub struct Installation {
    pub bin: PathBuf,
    /// Where loadable libraries are.
    pub libraries: PathBuf,
    /// Where the extensions' folder is.
    pub shared: PathBuf,
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
        Self::of(&std::env::var("PG_CONFIG").unwrap_or_else(|_| "pg_config".to_owned()))
    }

    /// The installation that this `pg_config` belongs to.
    pub fn of(pg_config: &str) -> Self {
        let path = |what: &str| PathBuf::from(output(Command::new(pg_config).arg(what)));
        let (bin, libraries, shared) = (path("--bindir"), path("--pkglibdir"), path("--sharedir"));
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
            shared,
            version,
            account,
        }
    }
}

impl Installation {
    /// The number of its major version.
    pub fn major(&self) -> u32 {
        let number = self.version.split_whitespace().nth(2).unwrap_or_default();
        let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("postgres tells its version")
    }

    /// A copy in a folder of its own, with these files among its extensions: their names, and what is in them. A server
    /// finds its files from where its program is, so that the copy of that one file is enough, and links do for the rest.
    #[must_use]
    pub fn with_extension_files(&self, folder: &Path, files: &[(String, String)]) -> Self {
        let common: PathBuf = self
            .bin
            .components()
            .zip(self.shared.components())
            .take_while(|(one, other)| one == other)
            .map(|(one, _)| one)
            .collect();
        let place = |path: &Path| folder.join(path.strip_prefix(&common).unwrap_or(path));
        let copy = Self {
            bin: place(&self.bin),
            libraries: place(&self.libraries),
            shared: place(&self.shared),
            ..self.clone()
        };
        fs::create_dir_all(&copy.bin).expect("a new folder");
        fs::create_dir_all(copy.libraries.parent().expect("a parent")).expect("a new folder");
        fs::create_dir_all(copy.shared.join("extension")).expect("a new folder");
        symlink(&self.libraries, &copy.libraries).expect("a new link");
        let links = [
            (&self.bin, &copy.bin),
            (&self.shared, &copy.shared),
            (
                &self.shared.join("extension"),
                &copy.shared.join("extension"),
            ),
        ];
        for (from, to) in links {
            for entry in fs::read_dir(from).expect("an installation's folder") {
                let entry = entry.expect("an entry");
                let link = to.join(entry.file_name());
                if entry.file_name() == "postgres" {
                    fs::copy(entry.path(), link).expect("the server's program");
                } else if !link.exists() {
                    symlink(entry.path(), link).expect("a new link");
                }
            }
        }
        for (name, text) in files {
            let file = copy.shared.join("extension").join(name);
            let _ = fs::remove_file(&file);
            fs::write(file, text).expect("a new file");
        }
        copy
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
