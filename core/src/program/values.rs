//! What is read of a row besides columns: what is owed on it, how somebody is reached, and the values that fields of steps
//! give.

use super::{CompiledStep, Program};
use crate::collections::contact::Means;
use crate::document::{Money, StopRule};
use crate::row::ColumnType;

/// An SQL expression whose value is read as if it were a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Under which the row has it; see [`value_name`].
    pub name: String,
    pub sql: String,
    pub kind: ColumnType,
}

/// The names under which what is owed is read. The blanks keep them apart from columns.
pub const OPEN_AMOUNT: &str = "open of money";
pub const CURRENCY: &str = "currency of money";

/// The name under which a value that a step's field gives is read. The blanks keep it apart from columns.
pub fn value_name(step: &str, field: &str) -> String {
    format!("{field} of step {step}")
}

impl Program {
    /// The columns that say how somebody is reached, with what each of them holds.
    pub fn contact_columns(&self) -> impl Iterator<Item = (Means, &str)> {
        let roles = &self.roles;
        [
            (Means::Email, &roles.email),
            (Means::Phone, &roles.phone),
            (Means::Address, &roles.address),
        ]
        .into_iter()
        .filter_map(|(means, column)| Some((means, column.as_deref()?)))
    }

    /// The values that firing a step needs.
    pub(super) fn step_values(&self, step: &CompiledStep) -> Vec<Value> {
        let values = step.kind.values().into_iter();
        let own = values.map(|(field, sql, kind)| Value {
            name: value_name(&step.name, field),
            sql: sql.to_owned(),
            kind,
        });
        let owed = step.kind.wants_open_amount().then(|| self.money_values());
        own.chain(owed.into_iter().flatten()).collect()
    }

    /// What is owed on a row, if the workflow says how to tell.
    pub(super) fn money_values(&self) -> Vec<Value> {
        let Some(money) = &self.document.money else {
            return Vec::new();
        };
        let open = Some((OPEN_AMOUNT, &money.open, ColumnType::Number));
        let currency = money.currency.as_ref();
        let currency = currency.map(|sql| (CURRENCY, sql, ColumnType::Text));
        let values = open.into_iter().chain(currency);
        values
            .map(|(name, sql, kind)| Value {
                name: name.to_owned(),
                sql: sql.clone(),
                kind,
            })
            .collect()
    }
}

/// The rule that ends a case of which no more than the tolerance is open.
pub(super) fn paid_rule(money: &Money) -> Option<StopRule> {
    let tolerance = money.tolerance.as_ref()?;
    Some(StopRule {
        when: format!("(\n{}\n) <= (\n{tolerance}\n)", money.open),
        reason: "paid".to_owned(),
    })
}
