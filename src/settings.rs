//! The settings `workflow_engine.*`: what they are called, their limits, and typed access to them.
//!
//! What a worker's database may decide for itself is settable with ALTER DATABASE (PGC_SUSET); what the launcher or the
//! sleep of a worker needs comes from the configuration file (PGC_SIGHUP).

use std::ffi::CString;
use std::time::Duration;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_sys};

static ENABLED: GucSetting<bool> = GucSetting::<bool>::new(true);
static DATABASES: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"*"));
static WORKERS_PER_DATABASE: GucSetting<i32> = GucSetting::<i32>::new(1);
static BATCH_SIZE: GucSetting<i32> = GucSetting::<i32>::new(1000);
static MAX_ATTEMPTS: GucSetting<i32> = GucSetting::<i32>::new(5);
static TIME_ZONE: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"Europe/Amsterdam"));
static NAPTIME: GucSetting<i32> = GucSetting::<i32>::new(60);
static RETRY_BACKOFF: GucSetting<i32> = GucSetting::<i32>::new(10);
static REASON: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static TEMPLATE_FUEL: GucSetting<i32> = GucSetting::<i32>::new(50_000);
static STEP_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(5000);

/// Defines the settings. Called once when the library is loaded, preloaded or not.
pub fn define() {
    GucRegistry::define_bool_guc(
        c"workflow_engine.enabled",
        c"Whether this database's workers act on what is due.",
        c"When off they sleep; CALL wf.run_due() works all the same. Turn it off with ALTER DATABASE before a restore, so that no half-restored case is acted on.",
        &ENABLED,
        GucContext::Suset,
        GucFlags::empty(),
    );
    GucRegistry::define_string_guc(
        c"workflow_engine.databases",
        c"The databases that get workers: a comma-separated list of names, or * for all that have the extension.",
        c"Names are taken as they are, without folding to lower case; double quotes around a name are allowed.",
        &DATABASES,
        GucContext::Sighup,
        GucFlags::empty(),
    );
    GucRegistry::define_int_guc(
        c"workflow_engine.workers_per_database",
        c"How many workers each database gets; 0 stops them all.",
        c"Each takes one of max_worker_processes.",
        &WORKERS_PER_DATABASE,
        0,
        8,
        GucContext::Sighup,
        GucFlags::empty(),
    );
    GucRegistry::define_int_guc(
        c"workflow_engine.batch_size",
        c"How many due steps, messages or changed rows one transaction of the engine takes at most.",
        c"",
        &BATCH_SIZE,
        1,
        10_000,
        GucContext::Suset,
        GucFlags::empty(),
    );
    GucRegistry::define_int_guc(
        c"workflow_engine.max_attempts",
        c"How often a step or a message is tried before it becomes an incident.",
        c"",
        &MAX_ATTEMPTS,
        1,
        1000,
        GucContext::Suset,
        GucFlags::empty(),
    );
    GucRegistry::define_string_guc(
        c"workflow_engine.time_zone",
        c"The time zone of subjects that name none of their own.",
        c"",
        &TIME_ZONE,
        GucContext::Suset,
        GucFlags::empty(),
    );
    GucRegistry::define_int_guc(
        c"workflow_engine.naptime",
        c"The longest that an idle worker sleeps before it looks again.",
        c"Workers wake up on their own when something is due or has been committed; this only backs that up.",
        &NAPTIME,
        1,
        86_400,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"workflow_engine.retry_backoff",
        c"The wait before a failed step is tried again; it doubles with each further attempt.",
        c"",
        &RETRY_BACKOFF,
        0,
        86_400,
        GucContext::Suset,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"workflow_engine.template_fuel",
        c"How many instructions the rendering of one template may take.",
        c"",
        &TEMPLATE_FUEL,
        1000,
        i32::MAX,
        GucContext::Suset,
        GucFlags::empty(),
    );
    GucRegistry::define_string_guc(
        c"workflow_engine.reason",
        c"Why the calls of this session, or transaction, are made: for history.",
        c"It stands in the rows of history that a call writes and that have no reason of their own. Set it with SET LOCAL.",
        &REASON,
        GucContext::Userset,
        GucFlags::empty(),
    );
    GucRegistry::define_int_guc(
        c"workflow_engine.step_timeout",
        c"How long the SQL of a workflow (a condition, a call, an update, the details of a row) may run in the engine.",
        c"What takes longer is cancelled and counts as a failed attempt of its case. 0: no limit. It holds in workers and in CALL wf.run_due(), for one statement over a batch of cases.",
        &STEP_TIMEOUT,
        0,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_MS,
    );
    // SAFETY: a constant C string. From here on a misspelt workflow_engine.* is reported, not silently kept.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"workflow_engine".as_ptr()) };
}

/// Whether this database's workers act. `workflow_engine.enabled`.
pub fn enabled() -> bool {
    ENABLED.get()
}

/// Which databases get workers. `workflow_engine.databases`.
pub fn databases() -> Databases {
    DATABASES.get().map_or(Databases::All, |list| {
        Databases::parse(&list.to_string_lossy())
    })
}

/// How many workers a database gets, 0 to 8. `workflow_engine.workers_per_database`.
pub fn workers_per_database() -> u32 {
    WORKERS_PER_DATABASE.get().unsigned_abs()
}

/// Rows that one transaction of the engine takes at most, 1 to 10,000. `workflow_engine.batch_size`.
pub fn batch_size() -> i64 {
    i64::from(BATCH_SIZE.get())
}

/// Attempts before an incident, at least 1. `workflow_engine.max_attempts`.
pub fn max_attempts() -> i32 {
    MAX_ATTEMPTS.get()
}

/// The zone of subjects without one; not checked to exist. `workflow_engine.time_zone`.
pub fn time_zone() -> String {
    TIME_ZONE.get().map_or_else(
        || "UTC".to_owned(),
        |zone| zone.to_string_lossy().into_owned(),
    )
}

/// The longest sleep of an idle worker. `workflow_engine.naptime`.
pub fn naptime() -> Duration {
    seconds(NAPTIME.get())
}

/// The wait before the first retry; each further one doubles it. `workflow_engine.retry_backoff`.
pub fn retry_backoff() -> Duration {
    seconds(RETRY_BACKOFF.get())
}

/// Why calls are made, if the session says so. `workflow_engine.reason`.
pub fn reason() -> Option<String> {
    let reason = REASON.get()?.to_string_lossy().into_owned();
    (!reason.is_empty()).then_some(reason)
}

/// Instructions that one template may take. `workflow_engine.template_fuel`.
pub fn template_fuel() -> u64 {
    u64::from(TEMPLATE_FUEL.get().unsigned_abs())
}

/// How long one statement of a workflow's own SQL may run while the engine works. None: as long as it takes.
/// `workflow_engine.step_timeout`.
pub fn step_timeout() -> Option<Duration> {
    let limit = u64::from(STEP_TIMEOUT.get().unsigned_abs());
    (limit > 0).then(|| Duration::from_millis(limit))
}

fn seconds(value: i32) -> Duration {
    Duration::from_secs(u64::from(value.unsigned_abs()))
}

/// The databases that get workers.
#[derive(Debug, PartialEq, Eq)]
pub enum Databases {
    /// Every database that has the extension.
    All,
    /// Those of these names.
    Named(Vec<String>),
}

impl Databases {
    /// Reads the setting: `*`, or names with commas between them, each bare or in double quotes.
    fn parse(list: &str) -> Self {
        let mut names = Vec::new();
        let mut name = String::new();
        let (mut quoted, mut was_quoted) = (false, false);
        let mut chars = list.chars().peekable();
        loop {
            match chars.next() {
                Some('"') if quoted && chars.peek() == Some(&'"') => {
                    chars.next();
                    name.push('"');
                }
                Some('"') => {
                    quoted = !quoted;
                    was_quoted = true;
                }
                Some(c) if quoted || (c != ',' && !c.is_whitespace()) => name.push(c),
                // White space inside a bare name belongs to it; at its ends it does not.
                Some(c) if c != ',' => {
                    if !name.is_empty() && !was_quoted {
                        name.push(c);
                    }
                }
                end => {
                    let found = std::mem::take(&mut name);
                    let found = if was_quoted { &found } else { found.trim_end() };
                    if found == "*" && !was_quoted {
                        return Self::All;
                    }
                    if !found.is_empty() {
                        names.push(found.to_owned());
                    }
                    was_quoted = false;
                    if end.is_none() {
                        return Self::Named(names);
                    }
                }
            }
        }
    }

    /// Whether the database of this name is meant. `name` is in the server's encoding, as pg_database has it.
    pub fn contain(&self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|wanted| wanted.as_bytes() == name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Databases;

    fn named(names: &[&str]) -> Databases {
        Databases::Named(names.iter().map(|&n| n.to_owned()).collect())
    }

    #[test]
    fn a_star_means_all_and_lists_are_taken_as_written() {
        assert_eq!(Databases::parse("*"), Databases::All);
        assert_eq!(Databases::parse("erp, *"), Databases::All);
        assert_eq!(Databases::parse(""), named(&[]));
        assert_eq!(
            Databases::parse(" erp ,Test , my db"),
            named(&["erp", "Test", "my db"])
        );
        assert_eq!(
            Databases::parse(r#""a,b", "say ""hi""" ,"*""#),
            named(&["a,b", "say \"hi\"", "*"])
        );
    }
}
