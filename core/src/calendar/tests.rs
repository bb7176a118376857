//! Calendars on the dates that the scenarios name, and the bitmaps against plain counting.

use proptest::prelude::*;

use super::shipped::{SHIPPED, netherlands, target};
use super::testing::date;
use super::*;

fn target_calendar() -> Calendar {
    SHIPPED[1].calendar().unwrap()
}

fn nl_calendar() -> Calendar {
    SHIPPED[0].calendar().unwrap()
}

#[test]
fn s15_good_friday_rolls_by_target_and_stays_by_nl() {
    let friday = date("2026-04-03");
    assert_eq!(
        target_calendar().roll(friday, Roll::Following).unwrap(),
        date("2026-04-07")
    );
    assert_eq!(nl_calendar().roll(friday, Roll::Following).unwrap(), friday);
}

#[test]
fn s15_five_business_days_over_easter() {
    let wednesday = date("2026-04-01");
    assert_eq!(
        target_calendar().add_business_days(wednesday, 5).unwrap(),
        date("2026-04-10")
    );
    assert_eq!(
        nl_calendar().add_business_days(wednesday, 5).unwrap(),
        date("2026-04-09")
    );
}

#[test]
fn s15_a_year_that_is_not_known_is_an_error_that_says_what_to_do() {
    let calendar = target_calendar();
    for error in [
        calendar.is_open(date("2041-01-02")).unwrap_err(),
        calendar
            .roll(date("2040-12-31"), Roll::Following)
            .and_then(|d| calendar.add_business_days(d, 1))
            .unwrap_err(),
        calendar
            .roll(date("2041-06-01"), Roll::Preceding)
            .unwrap_err(),
        calendar
            .roll(date("2041-06-01"), Roll::ModifiedFollowing)
            .unwrap_err(),
    ] {
        assert_eq!(error.code, ErrorCode::Calendar);
        assert_eq!(
            error.message,
            "calendar \"TARGET\" does not know the year 2041"
        );
        assert_eq!(
            error.detail.as_deref(),
            Some("It knows all of the years 2020 to 2040.")
        );
        assert!(
            error
                .hint
                .unwrap()
                .contains("wf.load_holidays('TARGET', 2041, 2041")
        );
    }
    assert!(
        calendar
            .add_business_days(date("2020-01-02"), -1)
            .unwrap_err()
            .message
            .contains("2019")
    );
    assert!(!calendar.knows(2041) && calendar.knows(2040));
}

#[test]
fn a_hole_in_the_known_years_is_not_stepped_over() {
    let calendar = Calendar::new("it's", [6, 7], [2026, 2028, 2026], []).unwrap();
    assert!(calendar.is_open(date("2028-01-03")).unwrap());
    let error = calendar
        .add_business_days(date("2026-12-31"), 1)
        .unwrap_err();
    assert_eq!(
        error.message,
        "calendar \"it's\" does not know the year 2027"
    );
    assert_eq!(
        error.detail.as_deref(),
        Some("It knows some of the years 2026 to 2028.")
    );
    assert!(error.hint.unwrap().contains("'it''s'"));
    let empty = Calendar::new("X", [], [], []).unwrap();
    assert_eq!(
        empty
            .is_open(date("2026-01-01"))
            .unwrap_err()
            .detail
            .as_deref(),
        Some("It knows no year at all.")
    );
}

#[test]
fn a_date_outside_the_known_years_needs_only_the_years_that_are_counted() {
    let calendar = target_calendar();
    assert_eq!(
        calendar.add_business_days(date("2019-12-31"), 1).unwrap(),
        date("2020-01-02")
    );
    assert_eq!(
        calendar.add_business_days(date("2041-01-01"), -1).unwrap(),
        date("2040-12-31")
    );
    assert_eq!(
        calendar.add_business_days(date("1900-01-01"), 0).unwrap(),
        date("1900-01-01")
    );
    assert_eq!(
        calendar.roll(date("1900-01-01"), Roll::None).unwrap(),
        date("1900-01-01")
    );
}

#[test]
fn a_calendar_that_makes_no_sense_is_refused() {
    for (closed, years, says) in [
        (vec![0], vec![2026], "weekday 0"),
        (vec![8], vec![2026], "weekday 8"),
        ((1..=7).collect(), vec![2026], "all seven"),
        (vec![6], vec![0], "year 0"),
        (vec![6], vec![2026, 10_000], "year 10000"),
    ] {
        let error = Calendar::new("odd", closed, years, []).unwrap_err();
        assert_eq!(error.code, ErrorCode::Calendar);
        assert!(
            error.message.contains(says) && error.message.contains("\"odd\""),
            "{error}"
        );
        assert!(error.hint.is_some());
    }
}

#[test]
fn s5_s13_each_roll_at_a_month_end() {
    let calendar = target_calendar();
    let rolled = |day, roll| calendar.roll(date(day), roll).unwrap();
    // 2026-05-31 is a Sunday, 2026-06-01 a Monday.
    assert_eq!(rolled("2026-05-31", Roll::None), date("2026-05-31"));
    assert_eq!(rolled("2026-05-31", Roll::Following), date("2026-06-01"));
    assert_eq!(rolled("2026-05-31", Roll::Preceding), date("2026-05-29"));
    assert_eq!(
        rolled("2026-05-31", Roll::ModifiedFollowing),
        date("2026-05-29")
    );
    // 2026-05-01 is Labour Day, a Friday.
    assert_eq!(rolled("2026-05-01", Roll::Following), date("2026-05-04"));
    assert_eq!(rolled("2026-05-01", Roll::Preceding), date("2026-04-30"));
    assert_eq!(
        rolled("2026-05-01", Roll::ModifiedPreceding),
        date("2026-05-04")
    );
    // 2028-12-30 and 31 are a weekend; 2039-01-01 a Saturday.
    assert_eq!(
        rolled("2028-12-31", Roll::ModifiedFollowing),
        date("2028-12-29")
    );
    assert_eq!(
        rolled("2039-01-01", Roll::ModifiedPreceding),
        date("2039-01-03")
    );
}

#[test]
fn the_modified_rolls_do_not_need_the_neighbouring_year() {
    let calendar = Calendar::new("one year", [6, 7], [2028], []).unwrap();
    assert_eq!(
        calendar
            .roll(date("2028-12-31"), Roll::ModifiedFollowing)
            .unwrap(),
        date("2028-12-29")
    );
    assert_eq!(
        calendar
            .roll(date("2028-01-01"), Roll::ModifiedPreceding)
            .unwrap(),
        date("2028-01-03")
    );
    assert!(calendar.roll(date("2028-12-31"), Roll::Following).is_err());
}

#[test]
fn roll_is_written_in_snake_case() {
    for (roll, text) in [
        (Roll::None, "\"none\""),
        (Roll::Following, "\"following\""),
        (Roll::Preceding, "\"preceding\""),
        (Roll::ModifiedFollowing, "\"modified_following\""),
        (Roll::ModifiedPreceding, "\"modified_preceding\""),
    ] {
        assert_eq!(serde_json::to_string(&roll).unwrap(), text);
        assert_eq!(serde_json::from_str::<Roll>(text).unwrap(), roll);
    }
    let error = serde_json::from_str::<Roll>("\"next\"")
        .unwrap_err()
        .to_string();
    assert!(error.contains("modified_following"), "{error}");
}

/// The slow way that the bitmaps have to agree with: day by day over a list.
fn plainly_open(day: NaiveDate, holidays: &[NaiveDate]) -> bool {
    day.weekday().num_days_from_monday() < 5 && !holidays.contains(&day)
}

#[test]
fn the_bitmaps_say_the_same_as_the_list() {
    for (calendar, holidays) in [
        (target_calendar(), target as fn(i32) -> _),
        (nl_calendar(), netherlands),
    ] {
        for year in shipped::SHIPPED_YEARS {
            let list: Vec<NaiveDate> = holidays(year).iter().map(|h| h.day).collect();
            let first = NaiveDate::from_ymd_opt(year, 1, 1).unwrap();
            for day in first.iter_days().take_while(|d| d.year() == year) {
                assert_eq!(
                    calendar.is_open(day).unwrap(),
                    plainly_open(day, &list),
                    "{day}"
                );
            }
        }
    }
}

/// A calendar of 2025 to 2027 with any closed weekdays (not all) and up to 40 holidays.
fn any_calendar() -> impl Strategy<Value = Calendar> {
    (0u8..127, prop::collection::vec(0u64..1095, 0..40)).prop_map(|(closed, days)| {
        let weekdays = (1..=7u8)
            .filter(|d| closed >> (d - 1) & 1 == 1)
            .collect::<Vec<_>>();
        let first = date("2025-01-01");
        Calendar::new(
            "any",
            weekdays,
            2025..=2027,
            days.into_iter().map(|d| first + chrono::Days::new(d)),
        )
        .unwrap()
    })
}

fn any_day() -> impl Strategy<Value = NaiveDate> {
    (0u64..365).prop_map(|d| date("2026-01-01") + chrono::Days::new(d))
}

fn any_roll() -> impl Strategy<Value = Roll> {
    prop::sample::select(vec![
        Roll::None,
        Roll::Following,
        Roll::Preceding,
        Roll::ModifiedFollowing,
        Roll::ModifiedPreceding,
    ])
}

proptest! {
    #[test]
    fn business_days_agree_with_walking_day_by_day(calendar in any_calendar(), day in any_day(), n in -30i32..=30) {
        let mut walked = day;
        let mut left = n;
        let mut known = true;
        while left != 0 {
            walked = if n > 0 { walked.succ_opt() } else { walked.pred_opt() }.unwrap();
            match calendar.is_open(walked) {
                Ok(true) => left -= n.signum(),
                Ok(false) => {}
                Err(_) => { known = false; break }
            }
        }
        match calendar.add_business_days(day, n) {
            Ok(result) => prop_assert!(known && result == walked),
            Err(_) => prop_assert!(!known),
        }
    }

    #[test]
    fn business_days_back_and_forth_return_to_an_open_day(calendar in any_calendar(), day in any_day(), n in -60i32..=60) {
        let Ok(day) = calendar.roll(day, Roll::Following) else { return Ok(()) };
        if let Ok(there) = calendar.add_business_days(day, n) {
            prop_assert_eq!(calendar.add_business_days(there, -n).unwrap(), day);
        }
    }

    #[test]
    fn business_days_are_monotonic(calendar in any_calendar(), a in any_day(), b in any_day(), n in -60i32..=60, m in -60i32..=60) {
        let (a, b) = (a.min(b), a.max(b));
        if let (Ok(x), Ok(y)) = (calendar.add_business_days(a, n), calendar.add_business_days(b, n)) {
            prop_assert!(x <= y);
        }
        if let (Ok(x), Ok(y)) = (calendar.add_business_days(a, n.min(m)), calendar.add_business_days(a, n.max(m))) {
            prop_assert!(x <= y);
        }
    }

    #[test]
    fn a_rolled_day_is_open_and_rolling_again_leaves_it(calendar in any_calendar(), day in any_day(), roll in any_roll()) {
        if let Ok(rolled) = calendar.roll(day, roll) {
            prop_assert_eq!(calendar.roll(rolled, roll).unwrap(), rolled);
            prop_assert!(roll == Roll::None || calendar.is_open(rolled).unwrap());
            if calendar.is_open(day).unwrap() {
                prop_assert_eq!(rolled, day);
            }
        }
    }

    #[test]
    fn no_count_and_no_date_panics_or_runs_for_ever(n in any::<i32>(), days in any::<i32>(), roll in any_roll()) {
        let calendar = target_calendar();
        let day = NaiveDate::from_num_days_from_ce_opt(days).unwrap_or(if days < 0 { NaiveDate::MIN } else { NaiveDate::MAX });
        for n in [n, i32::MIN, i32::MAX] {
            let _ = calendar.add_business_days(day, n);
            let _ = calendar.add_business_days(date("2030-01-01"), n);
        }
        let _ = calendar.roll(day, roll);
    }
}
