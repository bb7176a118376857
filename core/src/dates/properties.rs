//! Properties that hold for every date rule, checked on generated ones. Examples with known dates are in `tests`.

use proptest::prelude::*;

use super::tests::resolve_with;
use super::*;
use crate::calendar::testing::{ShippedCalendars, TzZones, date, utc};

fn any_anchor() -> impl Strategy<Value = AnchorValue> {
    let instant = utc("0001-01-02 00:00").timestamp()..utc("9999-12-30 00:00").timestamp();
    (instant, 0..3).prop_map(|(seconds, kind)| {
        let at = DateTime::from_timestamp(seconds, 0).unwrap();
        match kind {
            0 => AnchorValue::Instant(at),
            1 => AnchorValue::LocalDate(at.date_naive()),
            _ => AnchorValue::LocalTimestamp(at.naive_utc()),
        }
    })
}

/// Mostly small numbers, sometimes anything that fits.
fn any_i32() -> impl Strategy<Value = i32> {
    prop_oneof![
        Just(0),
        -20..=20i32,
        any::<i32>(),
        Just(i32::MIN),
        Just(i32::MAX)
    ]
}

fn any_i64() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0), 1 => -2000..=2000i64, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

prop_compose! {
    fn any_rule()(
        months in any_i32(), days in any_i32(), business_days in any_i32(), hours in any_i64(), minutes in any_i64(),
        time in prop::option::of(0u32..1440), roll in 0usize..6,
        anchor in prop::sample::select(vec!["case_start", "previous_done", "step.x", "subject.d"]),
    ) -> DateRule {
        DateRule {
            anchor: anchor.parse().unwrap(), months, days, business_days, hours, minutes,
            time: time.and_then(|m| NaiveTime::from_num_seconds_from_midnight_opt(m * 60, 0)),
            roll: [None, Some(Roll::None), Some(Roll::Following), Some(Roll::Preceding), Some(Roll::ModifiedFollowing), Some(Roll::ModifiedPreceding)][roll],
            calendar: None,
        }
    }
}

proptest! {
    #[test]
    fn no_rule_and_no_anchor_panics(rule in any_rule(), anchor in any_anchor(), default_roll in 0..2) {
        let roll = if default_roll == 0 { Roll::None } else { Roll::Following };
        let _ = rule.findings();
        if let Ok(at) = resolve_with(&rule, anchor, roll, "TARGET") {
            // A day more on either side for the zone.
            prop_assert!((0..=10_000).contains(&at.year()));
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,8}") {
        let _ = parse_hh_mm(&text);
    }

    #[test]
    fn s13_months_keep_the_day_or_take_the_last_one_of_the_month(offset in 0u64..7000, months in -200..=200i32) {
        let anchor = date("2010-01-01") + Days::new(offset);
        let rule = DateRule { months, roll: Some(Roll::None), ..DateRule::default() };
        let at = resolve_with(&rule, AnchorValue::LocalDate(anchor), Roll::None, "TARGET").unwrap();
        let result = TzZones.to_local("Europe/Amsterdam", at).unwrap().date();
        prop_assert_eq!(result.year() * 12 + result.month0() as i32, anchor.year() * 12 + anchor.month0() as i32 + months);
        let last = (result.day()..=31).take_while(|d| result.with_day(*d).is_some()).last().unwrap();
        prop_assert_eq!(result.day(), anchor.day().min(last));
    }

    #[test]
    fn s13_the_same_anchor_gives_the_same_date_whatever_came_before(offset in 0u64..3000, steps in prop::collection::vec(1..4i32, 1..6)) {
        // Steps at growing distances from one anchor: each is where it would be if it were the only one.
        let anchor = date("2022-01-01") + Days::new(offset);
        let mut months = 0;
        for step in steps {
            months += step;
            let rule = DateRule { months, ..DateRule::default() };
            let at = resolve_with(&rule, AnchorValue::LocalDate(anchor), Roll::None, "TARGET").unwrap();
            let expected = anchor.checked_add_months(Months::new(months.unsigned_abs())).unwrap();
            prop_assert_eq!(TzZones.to_local("Europe/Amsterdam", at).unwrap(), expected.and_time(NaiveTime::MIN));
        }
    }

    #[test]
    fn whole_days_land_on_an_open_day_and_later_anchors_land_no_earlier(a in 0u64..4000, b in 0u64..4000, months in -6..=6i32, days in -40..=40i32, business_days in -30..=30i32) {
        let rule = DateRule { months, days, business_days, anchor: Anchor::Subject("d".to_owned()), ..DateRule::default() };
        let result = |offset| {
            let anchor = AnchorValue::LocalDate(date("2021-06-01") + Days::new(offset));
            resolve_with(&rule, anchor, Roll::Following, "TARGET").unwrap()
        };
        let (early, late) = (result(a.min(b)), result(a.max(b)));
        prop_assert!(early <= late);
        let landed = TzZones.to_local("Europe/Amsterdam", early).unwrap().date();
        prop_assert!(ShippedCalendars::new().calendar("TARGET").unwrap().is_open(landed).unwrap());
    }
}
