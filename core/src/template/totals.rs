//! Totals of a list by what its elements have in common: `{% for t in subjects | totals("open_amount", "currency") %}`.
//!
//! Amounts of different currencies are never added up, and no total loses a digit.

use super::lists::listed;
use super::machine::{Machine, Outcome, fail};
use super::number::Decimal;
use super::value::{Text, Val};

/// A group: what its elements have in common, their total, and how many they are.
struct Group<'a> {
    name: String,
    by: Val<'a>,
    total: Decimal,
    count: usize,
}

/// One object for each value of the field `by`, in the order in which they first come: that field, `total` and `count`. An
/// amount that is nothing (SQL NULL) counts as an element of its group and adds nothing.
pub(super) fn totals<'a>(
    machine: &mut Machine<'a>,
    line: u32,
    value: &Val<'a>,
    amount: Option<Val<'a>>,
    by: Option<Val<'a>>,
) -> Outcome<Val<'a>> {
    let Some(Val::Text(by_name)) = &by else {
        return fail(line, "totals needs the names of two fields, as texts");
    };
    let by_name = by_name.clone();
    let amounts = listed(machine, line, value, amount)?;
    let values = listed(machine, line, value, by)?;
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (amount, by) in amounts.iter().zip(values.iter()) {
        let name = machine.printed(line, by)?;
        machine.spend_elements(line, groups.len())?;
        let position = groups.iter().position(|group| group.name == name);
        let position = position.unwrap_or_else(|| {
            groups.push(Group {
                name,
                by: by.clone(),
                total: Decimal::from(0),
                count: 0,
            });
            groups.len() - 1
        });
        let group = &mut groups[position];
        group.count += 1;
        if !matches!(amount, Val::None) {
            let Some(total) = group.total.plus(machine.decimal(line, amount)?) else {
                return fail(line, "a total has more digits than can be kept");
            };
            group.total = total;
        }
    }
    let groups = groups.into_iter().map(|group| {
        let total = machine.number(line, Some(group.total))?;
        Ok(Val::Map(
            [
                (by_name.clone(), group.by),
                (Text::Borrowed("total"), total),
                (Text::Borrowed("count"), Val::integer(group.count)),
            ]
            .into(),
        ))
    });
    Ok(Val::List(groups.collect::<Outcome<_>>()?))
}
