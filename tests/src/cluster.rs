//! A private cluster: made, started, killed, started again and removed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use postgres::{Config, NoTls};

use crate::initdb;
use crate::installation::Installation;
use crate::process::{processes_in, server_command, signal, watchdog};
use crate::session::Session;
use crate::shim::Shim;
use crate::wait::eventually_within;

/// How to start a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    preload: Vec<String>,
    settings: Vec<(String, String)>,
    shim: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            preload: vec!["workflow_engine".to_owned()],
            settings: Vec::new(),
            shim: false,
        }
    }
}

impl Options {
    /// Nothing preloaded: a plain cluster.
    pub fn plain() -> Self {
        Self {
            preload: Vec::new(),
            settings: Vec::new(),
            shim: false,
        }
    }

    /// With a clock that can be set and a disk that can be filled: [`Cluster::shim`].
    #[must_use]
    pub fn with_shim(mut self) -> Self {
        self.shim = true;
        self
    }

    /// One more library to preload.
    #[must_use]
    pub fn preload(mut self, library: &str) -> Self {
        self.preload.push(library.to_owned());
        self
    }

    /// A line of postgresql.conf; `{folder}` in the value becomes the cluster's folder.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The way to connect to a cluster, whether it runs at the moment or not.
#[derive(Clone, Debug)]
pub struct Connector {
    folder: PathBuf,
}

impl Connector {
    fn config(&self, database: &str, role: &str) -> Config {
        let mut config = Config::new();
        config
            .host_path(&self.folder)
            .user(role)
            .dbname(database)
            .application_name("test")
            .connect_timeout(Duration::from_secs(30));
        config
    }

    /// A session of the superuser, if the server takes one now.
    pub fn try_connect(&self, database: &str) -> Result<Session, postgres::Error> {
        self.config(database, "postgres")
            .connect(NoTls)
            .map(Session::new)
    }

    /// A session of the superuser, as soon as the server takes one.
    pub fn connect(&self, database: &str) -> Session {
        eventually_within(
            Duration::from_secs(120),
            "a server that takes connections",
            || self.try_connect(database).ok(),
        )
    }
}

/// A running private cluster. Dropping it ends its processes and removes its folder.
pub struct Cluster {
    installation: Installation,
    folder: PathBuf,
    data: PathBuf,
    server: Option<Child>,
    watchdog: Child,
    shim: Option<Shim>,
}

impl Cluster {
    /// Makes a cluster and starts it.
    pub fn start(options: &Options) -> Self {
        Self::start_on(Installation::get(), options)
    }

    /// The same, with a server of this installation, which is a copy of the one that the tests run against.
    pub fn start_on(installation: &Installation, options: &Options) -> Self {
        Self::from_data(installation, options, initdb::copy_to)
    }

    /// Starts a cluster whose data directory somebody else makes, at the path given to `make`, with a server of this
    /// installation.
    pub fn from_data(
        installation: &Installation,
        options: &Options,
        make: impl FnOnce(&Path),
    ) -> Self {
        let folder = initdb::new_folder("wf");
        let watchdog = watchdog(&folder);
        let data = folder.join("data");
        let shim = options.shim.then(|| Shim::new(&folder));
        let mut cluster = Self {
            installation: installation.clone(),
            folder,
            data,
            server: None,
            watchdog,
            shim,
        };
        make(&cluster.data);
        cluster.configure(options);
        cluster.start_again();
        cluster
    }

    /// A streaming standby of this cluster, made by pg_basebackup. Its settings are this one's and those of `options`.
    /// The cluster lets it in if it has `max_wal_senders`, as by default.
    pub fn standby(&self, name: &str, options: &Options) -> Self {
        let standby = Self::from_data(&self.installation, options, |data| {
            self.run(
                "pg_basebackup",
                &[
                    "--pgdata",
                    &data.display().to_string(),
                    "--checkpoint=fast",
                    "--write-recovery-conf",
                    "--no-sync",
                ],
            );
            let conninfo = format!(
                "primary_conninfo = 'host={} user=postgres application_name={name}'\n",
                self.folder.display()
            );
            let mut file = fs::OpenOptions::new()
                .append(true)
                .open(data.join("postgresql.auto.conf"))
                .expect("the data directory has a postgresql.auto.conf");
            file.write_all(conninfo.as_bytes())
                .expect("postgresql.auto.conf can be written");
        });
        standby
            .connect("postgres")
            .expect("SELECT pg_is_in_recovery()", &["t"]);
        standby
    }

    /// Runs a program of the installation against this cluster, as its superuser; what it prints. Panics when it fails.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        self.try_run(program, arguments)
            .unwrap_or_else(|errors| panic!("{program} {arguments:?} failed: {errors}"))
    }

    /// As [`Self::run`], giving back what it says when it fails.
    pub fn try_run(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let output = server_command(&self.installation, program)
            .env("PGHOST", &self.folder)
            .env("PGUSER", "postgres")
            .args(arguments)
            .output()
            .expect("the installation has the program");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(errors)
        }
    }

    /// Where a library of this name would be installed.
    pub fn library(name: &str) -> PathBuf {
        Installation::get().libraries.join(format!("{name}.so"))
    }

    fn configure(&self, options: &Options) {
        let mut lines = vec![
            "listen_addresses = ''".to_owned(),
            format!("unix_socket_directories = '{}'", self.folder.display()),
            "fsync = on".to_owned(),
            "timezone = 'UTC'".to_owned(),
            "log_timezone = 'UTC'".to_owned(),
            "max_connections = 60".to_owned(),
            "shared_buffers = '64MB'".to_owned(),
            "log_line_prefix = '%m [%p] %b %d '".to_owned(),
            format!("shared_preload_libraries = '{}'", options.preload.join(",")),
        ];
        lines.extend(
            options
                .settings
                .iter()
                .map(|(name, value)| {
                    (
                        name,
                        value.replace("{folder}", &self.folder.display().to_string()),
                    )
                })
                .map(|(name, value)| format!("{name} = '{}'", value.replace('\'', "''"))),
        );
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(self.data.join("postgresql.conf"))
            .expect("the data directory has a postgresql.conf");
        writeln!(file, "{}", lines.join("\n")).expect("postgresql.conf can be written");
    }

    /// Starts the server of a stopped or killed cluster and waits until it answers.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "the server runs already");
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .expect("the log can be written");
        let errors = log.try_clone().expect("a file can be cloned");
        let mut command = server_command(&self.installation, "postgres");
        if let Some(shim) = &self.shim {
            shim.preload(&mut command);
        }
        let server = command
            .arg("-D")
            .arg(&self.data)
            .stdout(Stdio::from(log))
            .stderr(Stdio::from(errors))
            .spawn()
            .expect("postgres runs");
        self.server = Some(server);
        self.wait_until_ready();
    }

    /// Waits until the server takes connections, also while it recovers.
    pub fn wait_until_ready(&mut self) {
        let start = Instant::now();
        loop {
            match self.connector().try_connect("postgres") {
                Ok(_) => return,
                Err(error) => {
                    let ended = self
                        .server
                        .as_mut()
                        .is_none_or(|server| !matches!(server.try_wait(), Ok(None)));
                    assert!(
                        !ended && start.elapsed() < Duration::from_secs(60),
                        "the server does not start: {error}\n{}",
                        self.log_tail()
                    );
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }
    }

    /// Whose server it runs.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The folder with the socket, the log and the data directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All that the server has logged.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The end of the log, for the message of a failed assertion.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// The way to connect, for threads that go on while the cluster is killed and started.
    pub fn connector(&self) -> Connector {
        Connector {
            folder: self.folder.clone(),
        }
    }

    /// A session of the superuser.
    #[track_caller]
    pub fn connect(&self, database: &str) -> Session {
        self.connect_as(database, "postgres")
    }

    /// A session of a role.
    #[track_caller]
    pub fn connect_as(&self, database: &str, role: &str) -> Session {
        self.try_connect_as(database, role)
            .unwrap_or_else(|error| panic!("cannot connect: {error}\n{}", self.log_tail()))
    }

    /// A session of the superuser, if the server takes one now.
    pub fn try_connect(&self, database: &str) -> Result<Session, postgres::Error> {
        self.try_connect_as(database, "postgres")
    }

    fn try_connect_as(&self, database: &str, role: &str) -> Result<Session, postgres::Error> {
        self.connector()
            .config(database, role)
            .connect(NoTls)
            .map(Session::new)
    }

    /// A new empty database and a session in it.
    #[track_caller]
    pub fn database(&self, name: &str) -> Session {
        self.connect("postgres")
            .exec(&format!("CREATE DATABASE \"{name}\""));
        self.connect(name)
    }

    /// What sets the clock of the cluster and fills its disk, if its options ask for it.
    #[track_caller]
    pub fn shim(&self) -> &Shim {
        self.shim.as_ref().expect("Options::with_shim")
    }

    /// The postmaster's process id.
    pub fn postmaster(&self) -> i32 {
        self.server.as_ref().map_or(0, |server| server.id() as i32)
    }

    /// The postmaster's children.
    pub fn children(&self) -> Vec<i32> {
        let postmaster = self.postmaster();
        processes_in(&self.data)
            .into_iter()
            .filter(|pid| *pid != postmaster)
            .collect()
    }

    /// The postmaster's children whose title holds this text, such as `checkpointer`.
    pub fn children_named(&self, title: &str) -> Vec<i32> {
        self.children()
            .into_iter()
            .filter(|pid| {
                fs::read(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|line| String::from_utf8_lossy(&line).contains(title))
            })
            .collect()
    }

    /// What each of the postmaster's children is at, as the kernel tells it: for a test that waits in vain.
    pub fn at_work(&self) -> String {
        let told = |pid: i32, what: &str| {
            let text = fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
            String::from_utf8_lossy(&text).replace('\0', " ")
        };
        let lines = self.children().into_iter().map(|pid| {
            let state = told(pid, "status");
            let signals = ["State", "SigPnd", "ShdPnd", "SigBlk"];
            let state: Vec<&str> = state
                .lines()
                .filter(|line| signals.iter().any(|name| line.starts_with(name)))
                .collect();
            format!(
                "{pid} {}: {}; in {}; {}",
                told(pid, "cmdline").trim(),
                state.join(", ").replace('\t', " "),
                told(pid, "wchan"),
                told(pid, "stack").replace('\n', " ")
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Stops the server as `pg_ctl stop -m fast` does; how long it took. Panics after a minute.
    pub fn stop_fast(&mut self) -> Duration {
        let start = Instant::now();
        signal(self.postmaster(), Signal::SIGINT);
        let server = self.server.as_mut().expect("the server runs");
        eventually_within(
            Duration::from_secs(60),
            "the end of a fast shutdown",
            || server.try_wait().expect("the server is our child"),
        );
        self.server = None;
        start.elapsed()
    }

    /// Kills the postmaster with SIGKILL and waits until its children have noticed.
    pub fn kill_postmaster(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().expect("the server is our child");
            server.wait().expect("the server is our child");
        }
        let data = self.data.clone();
        eventually_within(
            Duration::from_secs(60),
            "the end of the children of a killed postmaster",
            || processes_in(&data).is_empty().then_some(()),
        );
    }

    /// Whether the server has been stopped or killed and not started again, or has given up by itself, as it does when its
    /// start-up process dies.
    pub fn is_down(&mut self) -> bool {
        let ended = |server: &mut Child| !matches!(server.try_wait(), Ok(None));
        if self.server.as_mut().is_some_and(ended) {
            self.server = None;
        }
        self.server.is_none()
    }

    /// Kills one process of the server with SIGKILL.
    pub fn kill_child(&self, pid: i32) {
        // Never a process that has taken over the number.
        if processes_in(&self.data).contains(&pid) {
            signal(pid, Signal::SIGKILL);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the end of the server's log:\n{}", self.log_tail());
        }
        if let Some(mut server) = self.server.take() {
            signal(server.id() as i32, Signal::SIGQUIT);
            for _ in 0..100 {
                if !matches!(server.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = server.kill();
            let _ = server.wait();
        }
        // The watchdog finishes what is left: stragglers and the folder.
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}
