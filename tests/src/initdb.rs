//! One data directory, made once and copied for every cluster, so that a cluster starts in less than a second.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::installation::Installation;
use crate::process::server_command;

/// Puts a fresh data directory at `target`.
pub fn copy_to(target: &Path) {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    let template = TEMPLATE.get_or_init(make);
    copy(template, target);
}

/// The template lives with the build's own leavings, so that `cargo clean` removes it, under a name that changes with
/// the installation.
fn make() -> PathBuf {
    let installation = Installation::get();
    let mut hash = DefaultHasher::new();
    (
        &installation.bin,
        &installation.version,
        installation.account,
    )
        .hash(&mut hash);
    let executable = std::env::current_exe().expect("a running test has a path");
    // Tests are deeper in the target directory than a binary is; the directory itself carries Cargo's tag.
    let kept = executable
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists())
        .expect("tests are built under a target directory")
        .join("tmp");
    let template = kept.join(format!("initdb_{:016x}", hash.finish()));
    if template.join("PG_VERSION").exists() {
        return template;
    }

    // The account may not enter the target directory: make it in the temporary one and move it.
    let folder = new_folder("wf_initdb");
    let data = folder.join("data");
    let output = server_command(installation, "initdb")
        .arg("--pgdata")
        .arg(&data)
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
        .args(["--locale=C.UTF-8", "--no-sync", "--no-instructions"])
        .output()
        .expect("initdb runs");
    assert!(
        output.status.success(),
        "initdb failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    fs::create_dir_all(&kept).expect("the target directory can be written");
    let unfinished = kept.join(format!("initdb_{}", std::process::id()));
    let _ = fs::remove_dir_all(&unfinished);
    copy(&data, &unfinished);
    // Another test binary may have been first: its copy is as good.
    if fs::rename(&unfinished, &template).is_err() {
        let _ = fs::remove_dir_all(&unfinished);
    }
    let _ = fs::remove_dir_all(&folder);
    template
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .arg(from)
        .arg(to)
        .status()
        .expect("cp runs");
    assert!(status.success(), "cannot copy {from:?} to {to:?}");
}

/// A new folder in the temporary directory that belongs to the server's account. The name is short: the path of a
/// socket may have 107 bytes.
pub fn new_folder(prefix: &str) -> PathBuf {
    for number in 0.. {
        let folder = std::env::temp_dir().join(format!("{prefix}_{}_{number}", std::process::id()));
        match fs::create_dir(&folder) {
            Ok(()) => {
                if let Some((uid, gid)) = Installation::get().account {
                    chown(&folder, Some(uid), Some(gid)).expect("root can give folders away");
                }
                return folder;
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => panic!("cannot make {folder:?}: {error}"),
        }
    }
    unreachable!("there is always one more number")
}
