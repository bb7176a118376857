//! A sender of messages, as an external program would be one.

use crate::session::{Session, literal};

/// A leased message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: i64,
    pub case_id: i64,
    pub channel: String,
    pub recipient: String,
    pub subject: String,
    pub body: String,
    pub idempotency_key: String,
    pub attempt: i32,
}

/// Message ids as an SQL array.
pub fn ids(messages: &[Message]) -> String {
    let ids: Vec<String> = messages
        .iter()
        .map(|message| message.id.to_string())
        .collect();
    format!("'{{{}}}'::bigint[]", ids.join(","))
}

impl Session {
    /// Leases all that may leave now, on every channel.
    #[track_caller]
    pub fn lease(&mut self) -> Vec<Message> {
        self.lease_with("NULL, 100000")
    }

    /// Leases with the arguments given.
    #[track_caller]
    pub fn lease_with(&mut self, arguments: &str) -> Vec<Message> {
        self.try_lease_with(arguments)
            .unwrap_or_else(|failure| panic!("lease_messages({arguments}): {}", failure.text()))
    }

    /// Leases with the arguments given, giving a failure back.
    pub fn try_lease_with(&mut self, arguments: &str) -> Result<Vec<Message>, crate::Failure> {
        let rows = self.try_rows(&format!(
            "SELECT message_id, case_id, channel, recipient, payload->>'subject', payload->>'body', idempotency_key, attempt \
             FROM wf.lease_messages({arguments}) ORDER BY message_id"
        ))?;
        Ok(rows
            .into_iter()
            .map(|row| Message {
                id: row[0].parse().expect("message_id is a number"),
                case_id: row[1].parse().expect("case_id is a number"),
                channel: row[2].clone(),
                recipient: row[3].clone(),
                subject: row[4].clone(),
                body: row[5].clone(),
                idempotency_key: row[6].clone(),
                attempt: row[7].parse().expect("attempt is a number"),
            })
            .collect())
    }

    /// Acknowledges; how many messages that changed.
    #[track_caller]
    pub fn ack(&mut self, messages: &[Message]) -> i32 {
        self.one(&format!("SELECT wf.ack_messages({})", ids(messages)))
    }

    /// Reports failures; how many messages that changed.
    #[track_caller]
    pub fn fail(&mut self, messages: &[Message], error: &str, retry_after: Option<&str>) -> i32 {
        let after = retry_after.map_or("NULL".to_owned(), literal);
        self.one(&format!(
            "SELECT wf.fail_messages({}, {}, {after}::interval)",
            ids(messages),
            literal(error)
        ))
    }

    /// Leases everything and acknowledges it at once, then lets the engine act on that.
    #[track_caller]
    pub fn send(&mut self) -> Vec<Message> {
        let messages = self.lease();
        if !messages.is_empty() {
            assert_eq!(
                self.ack(&messages) as usize,
                messages.len(),
                "messages acknowledged"
            );
            self.exec("CALL wf.run_due()");
        }
        messages
    }
}
