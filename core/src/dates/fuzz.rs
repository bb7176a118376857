//! Date rules, contact windows and calendars that are bent at random: an instant or an error, never a panic; and an instant
//! that keeps what the rule promises: an open day, within the window, never earlier for a later anchor.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AnchorValue, DateContext, DateRule};
use crate::calendar::testing::TzZones;
use crate::calendar::{Calendar, Calendars, Roll, Zones};
use crate::error::{Error, ErrorCode};
use crate::fuzz::{Random, bend, corpus, fuzz};
use crate::window::ContactWindow;

/// What a text of the corpus holds.
#[derive(Deserialize)]
struct Given {
    rule: Value,
    window: Value,
    zone: String,
    /// Weekdays, years and holidays.
    closed: Vec<u8>,
    years: (i32, i32),
    holidays: Vec<NaiveDate>,
    roll: Roll,
    /// Two moments.
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

struct One(Calendar);

impl Calendars for One {
    fn calendar(&self, name: &str) -> Result<std::rc::Rc<Calendar>, Error> {
        if name == self.0.name() {
            return Ok(std::rc::Rc::new(self.0.clone()));
        }
        Err(Error::new(ErrorCode::Calendar, "no such calendar"))
    }
}

fn check(text: &str) -> Result<(), String> {
    let Ok(given) = serde_json::from_str::<Given>(text) else {
        return Ok(());
    };
    if let Ok(window) = serde_json::from_value::<ContactWindow>(given.window.clone()) {
        check_window(&window, &given)?;
    }
    let Ok(rule) = serde_json::from_value::<DateRule>(given.rule.clone()) else {
        return Ok(());
    };
    let written = serde_json::to_value(&rule).map_err(|e| e.to_string())?;
    if serde_json::from_value::<DateRule>(written).ok().as_ref() != Some(&rule) {
        return Err("is another rule when it is read again".to_owned());
    }
    let (first, last) = given.years;
    // A calendar of ten thousand years takes a while, and is none that anybody has.
    let years = first..=last.min(first.saturating_add(200));
    let Ok(calendar) = Calendar::new("own", given.closed.clone(), years, given.holidays.clone())
    else {
        return Ok(());
    };
    let calendars = One(calendar.clone());
    let ctx = DateContext {
        zone: &given.zone,
        zones: &TzZones,
        calendars: &calendars,
        default_calendar: "own",
        default_roll: given.roll,
    };
    let _ = (rule.findings(), rule.phrase());
    check_rule(&rule, &given, &calendar, &ctx)?;
    check_shift(&rule, &given, &calendar, &ctx)
}

fn check_rule(
    rule: &DateRule,
    given: &Given,
    calendar: &Calendar,
    ctx: &DateContext<'_>,
) -> Result<(), String> {
    let (from, to) = (given.from.min(given.to), given.from.max(given.to));
    let mut results = Vec::new();
    for at in [from, to] {
        let (day, local) = (at.date_naive(), at.naive_utc());
        let by_instant = rule.resolve(AnchorValue::Instant(at), ctx);
        let by_day = rule.resolve(AnchorValue::LocalDate(day), ctx);
        let by_local = rule.resolve(AnchorValue::LocalTimestamp(local), ctx);
        for result in [&by_instant, &by_day, &by_local].into_iter().flatten() {
            if !rule.is_exact()
                && rule.needs_calendar(ctx.default_roll)
                && rule.effective_roll(ctx.default_roll) != Roll::None
            {
                let day = TzZones
                    .to_local(ctx.zone, *result)
                    .map_err(|e| e.message)?
                    .date();
                // A day that the clocks leave out is followed by the next one, open or not.
                let skipped = TzZones
                    .to_utc(ctx.zone, day.and_hms_opt(0, 0, 0).unwrap_or_default())
                    .and_then(|at| TzZones.to_local(ctx.zone, at));
                if calendar.is_open(day) == Ok(false)
                    && skipped.is_ok_and(|local| local.date() == day)
                    && !beside_a_gap(ctx.zone, day)
                {
                    return Err(format!("gives {result}, a closed day"));
                }
            }
        }
        results.push(by_day);
    }
    if let [Ok(first), Ok(second)] = results.as_slice()
        && first > second
    {
        return Err(format!(
            "gives {first} for the earlier day and {second} for the later one"
        ));
    }
    Ok(())
}

/// Whether the local day before this one is left out by the clocks, as in Apia at the end of 2011.
fn beside_a_gap(zone: &str, day: NaiveDate) -> bool {
    let Some(before) = day.pred_opt().and_then(|day| day.and_hms_opt(0, 0, 0)) else {
        return true;
    };
    let read = TzZones
        .to_utc(zone, before)
        .and_then(|at| TzZones.to_local(zone, at));
    read.is_ok_and(|local| local.date() != before.date())
}

fn check_shift(
    rule: &DateRule,
    given: &Given,
    calendar: &Calendar,
    ctx: &DateContext<'_>,
) -> Result<(), String> {
    let (from, to) = (given.from.min(given.to), given.from.max(given.to));
    // Years of a hold are gone through day by day.
    let to = to.min(
        from.checked_add_signed(TimeDelta::days(4_000))
            .unwrap_or(to),
    );
    for business in [false, true] {
        let Ok(later) = rule.later(to, from, to, business, ctx) else {
            continue;
        };
        // A roll may go backwards; nothing else does.
        let forwards = matches!(
            rule.effective_roll(ctx.default_roll),
            Roll::None | Roll::Following
        );
        if forwards && later < to && !beside_a_gap(ctx.zone, to.date_naive()) {
            let local = |at| TzZones.to_local(ctx.zone, at).map(|local| local.date());
            if local(later).ok() < local(to).ok() {
                return Err(format!("moves {to} back to {later}"));
            }
        }
    }
    let day = given.from.date_naive();
    for n in [
        given.rule["business_days"]
            .as_i64()
            .unwrap_or(1)
            .clamp(-300, 300),
        1,
        -1,
    ] {
        let n = i32::try_from(n).unwrap_or(1);
        let Ok(result) = calendar.add_business_days(day, n) else {
            continue;
        };
        let (low, high) = (day.min(result), day.max(result));
        let between = low
            .iter_days()
            .take_while(|d| *d <= high)
            .filter(|d| if n > 0 { *d > low } else { *d < high });
        let open = between.filter(|d| calendar.is_open(*d) == Ok(true)).count();
        if n != 0
            && (i64::try_from(open).unwrap_or(0) != i64::from(n).abs()
                || calendar.is_open(result) != Ok(true))
        {
            return Err(format!(
                "{n} open days from {day} on is {result}, with {open} between them"
            ));
        }
    }
    Ok(())
}

fn check_window(window: &ContactWindow, given: &Given) -> Result<(), String> {
    let written = serde_json::to_value(window).map_err(|e| e.to_string())?;
    if serde_json::from_value::<ContactWindow>(written)
        .ok()
        .as_ref()
        != Some(window)
    {
        return Err("is another window when it is read again".to_owned());
    }
    let (from, to) = (given.from.min(given.to), given.from.max(given.to));
    let opening = |at| window.opening(at, &given.zone, &TzZones);
    let (Ok((first, closes)), Ok((second, _))) = (opening(from), opening(to)) else {
        return Ok(());
    };
    if first < from || closes <= first {
        return Err(format!(
            "opens at {first} and closes at {closes} for {from}"
        ));
    }
    if first > second {
        return Err(format!(
            "opens at {first} for {from}, and at {second} for {to}, which is later"
        ));
    }
    if opening(first).ok().map(|(again, _)| again) != Some(first) {
        return Err(format!("is not open when it opens, at {first}"));
    }
    Ok(())
}

const WORDS: &[&str] = &[
    "-1",
    "0",
    "31",
    "366",
    "2147483647",
    "-2147483648",
    "99999999999",
    "1e9",
    "\"months\": 1,",
    "\"days\": -30,",
    "\"business_days\": 3,",
    "\"hours\": 25,",
    "\"minutes\": -1,",
    "\"time\": \"02:30\",",
    "\"time\": \"24:00\",",
    "\"following\"",
    "\"modified_preceding\"",
    "\"none\"",
    "\"Europe/Amsterdam\"",
    "\"Pacific/Apia\"",
    "\"America/Havana\"",
    "\"Australia/Lord_Howe\"",
    "\"Africa/Cairo\"",
    "\"UTC\"",
    "\"mon-fri\"",
    "\"sun-thu\"",
    "\"sat\"",
    "\"00:00\"",
    "\"24:00\"",
    "\"02:00\"",
    "0001-01-01",
    "9999-12-31",
    "2011-12-30",
    "2026-03-29T01:30:00Z",
    "2026-10-25T00:30:00Z",
    "[6, 7]",
    "[1,2,3,4,5,6]",
];

/// A text with everything at random, or one of the corpus bent.
fn make(given: &[String], random: &mut Random) -> String {
    if random.below(3) == 0 {
        let index = random.below(given.len());
        return bend(&given[index], given, WORDS, random);
    }
    let moment = |random: &mut Random| {
        let (from, to) = match random.below(4) {
            // Near the ends of time, around changes of the clocks, anywhere.
            0 => (-62_135_596_800, -62_104_060_800),
            1 => (253_370_764_800, 253_402_300_799),
            2 => (1_743_000_000, 1_800_000_000),
            _ => (-62_135_596_800, 253_402_300_799),
        };
        DateTime::<Utc>::from_timestamp(random.between(from, to), 0).unwrap_or_default()
    };
    let from = moment(random);
    let to = match random.below(3) {
        0 => from + TimeDelta::minutes(random.between(0, 5_000)),
        1 => from
            .checked_add_signed(TimeDelta::days(random.between(0, 800)))
            .unwrap_or(from),
        _ => moment(random),
    };
    let mut rule =
        json!({"anchor": random.pick(&["case_start", "previous_done", "step.x", "subject.d"])});
    let near = |random: &mut Random| random.between(-40, 40);
    let wild = |random: &mut Random| random.number() as i32;
    for field in ["months", "days", "business_days", "hours", "minutes"] {
        match random.below(8) {
            0..=2 => rule[field] = near(random).into(),
            3 if random.below(4) == 0 => rule[field] = wild(random).into(),
            _ => {}
        }
    }
    if random.below(2) == 0 {
        rule["time"] = format!("{:02}:{:02}", random.below(25), random.below(61)).into();
    }
    let rolls = [
        "none",
        "following",
        "preceding",
        "modified_following",
        "modified_preceding",
    ];
    if random.below(2) == 0 {
        rule["roll"] = (*random.pick(&rolls)).into();
    }
    let year = chrono::Datelike::year(&from);
    let years = (
        year - i32::try_from(random.below(3)).unwrap_or(0),
        year + i32::try_from(random.below(12)).unwrap_or(0),
    );
    let holidays: Vec<NaiveDate> = (0..random.below(30))
        .filter_map(|_| {
            NaiveDate::from_yo_opt(
                i32::try_from(random.between(years.0.into(), years.1.into())).unwrap_or(year),
                1 + u32::try_from(random.below(366)).unwrap_or(0),
            )
        })
        .collect();
    let closed: Vec<usize> = (0..random.below(4)).map(|_| 1 + random.below(7)).collect();
    let zones = [
        "UTC",
        "Europe/Amsterdam",
        "America/Havana",
        "Pacific/Apia",
        "Australia/Lord_Howe",
        "Africa/Cairo",
        "Asia/Kathmandu",
        "America/New_York",
    ];
    let hour = |random: &mut Random| {
        format!(
            "{:02}:{:02}",
            random.below(25),
            random.pick(&[0, 30, 15, 59])
        )
    };
    json!({
        "rule": rule, "zone": random.pick(&zones), "closed": closed, "years": years, "holidays": holidays,
        "roll": random.pick(&rolls), "from": from, "to": to,
        "window": {"days": random.pick(&["mon-fri", "sun-thu", "sat", "mon,wed,sat", "mon-sun", "fri-mon"]), "from": hour(random), "to": hour(random)}
    })
    .to_string()
}

#[test]
fn date_rules_bent_at_random_never_panic_and_keep_what_they_promise() {
    let given = corpus("dates");
    fuzz("dates", &given, 4_000, |random| make(&given, random), check);
}
