//! Processes of a cluster: starting them under the server's account, finding them, ending them.
//!
//! A server's processes each lead their own process group, so a group cannot be killed as one. What they share is
//! their working directory, the data directory.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::installation::Installation;

/// A command of the installation that will run under the server's account, out of reach of the terminal's signals.
pub fn server_command(installation: &Installation, program: &str) -> Command {
    let mut command = Command::new(installation.bin.join(program));
    if let Some((uid, gid)) = installation.account {
        command.uid(uid).gid(gid);
    }
    // Not the caller's: the account may not enter it.
    command
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null());
    // A password file or service of the developer has no place here.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
        command.env_remove(name);
    }
    command
}

/// The processes that work in this data directory.
pub fn processes_in(data: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == data))
        .collect()
}

/// Sends a signal; a process that is gone already is none of our business.
pub fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Ends a cluster and removes its folder when the process that holds the returned child's standard input is gone,
/// whatever ended it: a normal exit (statics are not dropped), Ctrl-C, SIGKILL.
pub fn watchdog(folder: &Path) -> Child {
    const SCRIPT: &str = r#"
        cat >/dev/null
        each() {
            for process in /proc/[0-9]*; do
                if [ "$(readlink "$process/cwd" 2>/dev/null)" = "$folder/data" ]; then
                    found=1
                    kill "-$1" "${process#/proc/}" 2>/dev/null
                fi
            done
        }
        folder=$1
        each QUIT
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            found=
            each 0
            [ -z "$found" ] && break
            sleep 0.3
        done
        each KILL
        rm -rf "$folder"
    "#;
    Command::new("/bin/sh")
        .args(["-c", SCRIPT, "watchdog"])
        .arg(folder)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("/bin/sh runs")
}
