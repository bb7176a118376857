//! pg_upgrade: a cluster's data in the hands of a newer server.

use std::fs;
use std::path::Path;

use crate::cluster::{Cluster, Options};
use crate::installation::Installation;
use crate::process::server_command;

impl Cluster {
    /// Stops this cluster and has pg_upgrade make one of a newer server from it, which is then started. The library is
    /// preloaded all the while, as it is on the servers of those who use it.
    pub fn upgraded_to(&mut self, newer: &Installation, options: &Options) -> Self {
        self.stop_fast();
        Self::from_data(newer, options, |data| {
            // Checksums are the default from 18 on, and both have to have them or not.
            let checksums: &[&str] = if newer.major() >= 18 {
                &["--no-data-checksums"]
            } else {
                &[]
            };
            run(newer, "initdb", data, &|command| {
                command
                    .arg("--pgdata")
                    .arg(data)
                    .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
                    .args(["--locale=C.UTF-8", "--no-sync", "--no-instructions"])
                    .args(checksums);
            });
            run(newer, "pg_upgrade", data, &|command| {
                command
                    .arg("--old-datadir")
                    .arg(self.data())
                    .arg("--new-datadir")
                    .arg(data)
                    .arg("--old-bindir")
                    .arg(&self.installation().bin)
                    .arg("--new-bindir")
                    .arg(&newer.bin)
                    .arg("--socketdir")
                    .arg(self.folder())
                    .args(["--username=postgres", "--no-sync"])
                    .args([
                        "--new-options",
                        "-c shared_preload_libraries=workflow_engine",
                    ]);
            });
        })
    }
}

/// Runs a program in the folder above the data directory, where it may leave its logs.
fn run(
    installation: &Installation,
    program: &str,
    data: &Path,
    arguments: &dyn Fn(&mut std::process::Command),
) {
    let mut command = server_command(installation, program);
    command.current_dir(data.parent().expect("a data directory is in a folder"));
    arguments(&mut command);
    let output = command.output().expect("the installation has the program");
    assert!(
        output.status.success(),
        "{program} failed: {}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        ends_of_logs(&data.join("pg_upgrade_output.d"))
    );
}

/// The last lines of each log that pg_upgrade keeps when it fails: what it prints names them and goes away with them.
fn ends_of_logs(folder: &Path) -> String {
    let mut told = String::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            told.push_str(&ends_of_logs(&path));
        } else if path.extension().is_some_and(|kind| kind == "log") {
            let log = fs::read(&path).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(20)..].join("\n");
            told.push_str(&format!("--- {}\n{last}\n", path.display()));
        }
    }
    told
}
