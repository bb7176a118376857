//! What the rules ask of their surroundings: the engine's clock, PostgreSQL's zones, the calendars in wf.calendars.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::rc::Rc;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Timelike, Utc};
use pgrx::pg_sys::{self, Oid};
use pgrx::prelude::*;
use workflow_core::calendar::{Calendar, Calendars, Zones};
use workflow_core::game::Env;
use workflow_core::{Error, ErrorCode};

use crate::pg::types::arg;
use crate::pg::{relations, spi};
use crate::settings;
use crate::subjects::hooks;

/// Everything that a batch looks at besides its cases, read once for the batch.
pub struct Context {
    pub now: DateTime<Utc>,
    default_zone: String,
    calendars: TableCalendars,
}

impl Context {
    /// Reads the clock. Calendars are read when a rule first asks for one.
    pub fn new() -> Self {
        Self {
            now: now(),
            default_zone: settings::time_zone(),
            calendars: TableCalendars {
                read: RefCell::default(),
            },
        }
    }

    /// The view of it that the rules take.
    pub fn env(&self) -> Env<'_> {
        Env {
            now: self.now,
            zones: &ServerZones,
            calendars: &self.calendars,
            default_zone: &self.default_zone,
        }
    }
}

/// The engine's time: what wf.now() says, without the call.
pub fn now() -> DateTime<Utc> {
    spi::query(
        "SELECT coalesce((SELECT c.frozen_at FROM wf.clock AS c), pg_catalog.now())",
        &[],
    )
    .first()
    .map_or(DateTime::<Utc>::UNIX_EPOCH, |r| r.must(1))
}

/// Calendars as they stand in their tables.
struct TableCalendars {
    /// Those read in this batch, where the transaction sees one state of the tables throughout.
    read: RefCell<HashMap<String, Rc<Calendar>>>,
}

/// Calendars that have been read, as long as nobody changes one: a change invalidates wf.calendars in every process
/// (sql/12_calendars_api.sql), just as a change of its definition would.
#[derive(Default)]
struct Kept {
    generation: u64,
    calendars: HashMap<String, Rc<Calendar>>,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

impl Calendars for TableCalendars {
    fn calendar(&self, name: &str) -> Result<Rc<Calendar>, Error> {
        // SAFETY: a variable of the server. From repeatable read on, what is read may be older than the last change.
        if unsafe { pg_sys::XactIsoLevel } >= pg_sys::XACT_REPEATABLE_READ as i32 {
            if let Some(known) = self.read.borrow().get(name) {
                return Ok(known.clone());
            }
            let calendar = Rc::new(read_calendar(name)?);
            let mut read = self.read.borrow_mut();
            read.insert(name.to_owned(), calendar.clone());
            return Ok(calendar);
        }
        // Taken before reading: a change that comes meanwhile makes what was read stale.
        let generation = relations::tracked_generation();
        let known = KEPT.with_borrow_mut(|kept| {
            if kept.generation != generation {
                kept.generation = generation;
                kept.calendars.clear();
            }
            kept.calendars.get(name).cloned()
        });
        if let Some(known) = known {
            return Ok(known);
        }
        listen();
        let calendar = Rc::new(read_calendar(name)?);
        KEPT.with_borrow_mut(|kept| {
            if kept.generation == relations::tracked_generation() {
                kept.calendars.insert(name.to_owned(), calendar.clone());
            }
        });
        Ok(calendar)
    }
}

/// From now on this process hears of changes to calendars.
fn listen() {
    hooks::register();
    let table = spi::query(
        "SELECT 'wf.calendars'::pg_catalog.regclass::pg_catalog.oid",
        &[],
    );
    if let Some(row) = table.first() {
        relations::track(row.must(1));
    }
}

fn read_calendar(name: &str) -> Result<Calendar, Error> {
    let rows = spi::query(
        "SELECT c.closed_weekdays FROM wf.calendars AS c WHERE c.calendar = $1",
        &[arg(name)],
    );
    let Some(row) = rows.first() else {
        return Err(Error::new(
            ErrorCode::Calendar,
            format!("calendar \"{name}\" does not exist"),
        )
        .hint("Load it with wf.load_holidays, or name another calendar."));
    };
    let closed: Vec<u8> = row
        .must::<Vec<Option<i16>>>(1)
        .into_iter()
        .flatten()
        .filter_map(|d| u8::try_from(d).ok())
        .collect();
    let years = spi::query(
        "SELECT y.year FROM wf.calendar_years AS y WHERE y.calendar = $1",
        &[arg(name)],
    );
    let years: Vec<i32> = years.iter().map(|r| i32::from(r.must::<i16>(1))).collect();
    let days = spi::query(
        "SELECT (h.day - date '1970-01-01')::int4 FROM wf.holidays AS h WHERE h.calendar = $1",
        &[arg(name)],
    );
    let days: Vec<NaiveDate> = days
        .iter()
        .filter_map(|r| {
            NaiveDate::from_ymd_opt(1970, 1, 1)?
                .checked_add_signed(TimeDelta::days(i64::from(r.must::<i32>(1))))
        })
        .collect();
    Calendar::new(name, closed, years, days)
}

/// Zone arithmetic with the server's own zone database.
struct ServerZones;

thread_local! {
    static ZONES: RefCell<HashMap<String, *mut pg_sys::pg_tz>> = RefCell::default();
}

/// Forgets the zones by name and the calendars.
pub fn forget() {
    ZONES.with_borrow_mut(HashMap::clear);
    KEPT.with_borrow_mut(|kept| kept.calendars.clear());
}

fn zone(name: &str) -> Result<*mut pg_sys::pg_tz, Error> {
    if let Some(known) = ZONES.with_borrow(|zones| zones.get(name).copied()) {
        return Ok(known);
    }
    let unknown = || {
        Error::new(
            ErrorCode::TimeZone,
            format!("time zone \"{name}\" does not exist"),
        )
        .hint("SELECT name FROM pg_timezone_names lists the zones that the server knows.")
    };
    let text = CString::new(name).map_err(|_| unknown())?;
    // SAFETY: a C string; returns null for a name that is no zone. The server keeps zones for the process's life.
    let zone = unsafe { pg_sys::pg_tzset(text.as_ptr()) };
    if zone.is_null() || name.is_empty() {
        return Err(unknown());
    }
    ZONES.with_borrow_mut(|zones| zones.insert(name.to_owned(), zone));
    Ok(zone)
}

fn out_of_range() -> Error {
    Error::new(
        ErrorCode::Anchor,
        "a date is out of the range of time zones",
    )
}

impl Zones for ServerZones {
    fn to_utc(&self, name: &str, local: NaiveDateTime) -> Result<DateTime<Utc>, Error> {
        let zone = zone(name)?;
        let mut tm = pg_sys::pg_tm {
            tm_sec: local.second() as i32,
            tm_min: local.minute() as i32,
            tm_hour: local.hour() as i32,
            tm_mday: local.day() as i32,
            tm_mon: local.month() as i32,
            tm_year: local.year(),
            ..Default::default()
        };
        // SAFETY: a filled-in time and a zone from pg_tzset. The result is seconds west of Greenwich.
        let west = unsafe { pg_sys::DetermineTimeZoneOffset(&mut tm, zone) };
        local
            .and_utc()
            .checked_add_signed(TimeDelta::seconds(i64::from(west)))
            .ok_or_else(out_of_range)
    }

    fn to_local(&self, name: &str, at: DateTime<Utc>) -> Result<NaiveDateTime, Error> {
        let zone = zone(name)?;
        let seconds: pg_sys::pg_time_t = at.timestamp();
        // SAFETY: a zone from pg_tzset; returns a static struct, or null when out of range.
        let east = unsafe {
            pg_sys::pg_localtime(&seconds, zone)
                .as_ref()
                .map(|tm| tm.tm_gmtoff)
        };
        let east = east.ok_or_else(out_of_range)?;
        at.naive_utc()
            .checked_add_signed(TimeDelta::seconds(east))
            .ok_or_else(out_of_range)
    }
}

/// Has every process read a relation's contents anew when this transaction has committed; for the triggers of
/// wf.calendars.
#[pg_extern(sql = false)]
fn invalidate(relation: Option<Oid>) {
    if let Some(relation) = relation {
        // SAFETY: plain call; a relation that is gone is no error.
        unsafe { pg_sys::CacheInvalidateRelcacheByRelid(relation) };
    }
}
