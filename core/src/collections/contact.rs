//! Contact data: how somebody can be reached, and which of it is new.
//!
//! Data count as the same if they reach the same: letter case in an e-mail address, blanks and dashes in a telephone
//! number, and line ends in a postal address make no difference.

use crate::kinds::Channel;

/// A means of reaching somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Means {
    Email,
    Phone,
    Address,
}

impl Means {
    /// Its name in wf.contact_data and in the vars of a retry.
    pub fn name(self) -> &'static str {
        match self {
            Means::Email => "email",
            Means::Phone => "phone",
            Means::Address => "address",
        }
    }

    /// What a channel uses; None: it reaches nobody outside.
    pub fn of(channel: Channel) -> Option<Self> {
        match channel {
            Channel::Email => Some(Means::Email),
            Channel::Sms | Channel::Voice => Some(Means::Phone),
            Channel::Letter => Some(Means::Address),
            Channel::Ticket => None,
        }
    }

    /// The text that two data have in common which reach the same; empty if it reaches nobody.
    pub fn normalised(self, text: &str) -> String {
        match self {
            Means::Email => text.trim().to_lowercase(),
            Means::Phone => {
                let text = text.trim();
                let digits = text.chars().filter(char::is_ascii_digit);
                let international = text.strip_prefix("00");
                match international {
                    Some(rest) => std::iter::once('+')
                        .chain(rest.chars().filter(char::is_ascii_digit))
                        .collect(),
                    None if text.starts_with('+') => std::iter::once('+').chain(digits).collect(),
                    None => digits.collect(),
                }
            }
            Means::Address => {
                let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
                words.join(" ")
            }
        }
    }

    /// How a datum stands in the list of those that have been tried.
    pub fn entry(self, text: &str) -> String {
        format!("{}:{}", self.name(), self.normalised(text))
    }
}

#[cfg(test)]
mod tests {
    use super::Means;

    #[test]
    fn fv_15_data_that_reach_the_same_are_the_same() {
        let same = |means: Means, left: &str, right: &str| {
            assert_eq!(means.normalised(left), means.normalised(right));
        };
        same(Means::Email, " Jan@Example.COM ", "jan@example.com");
        same(Means::Phone, "+31 20-123 45 67", "+31201234567");
        same(Means::Phone, "0031 (20) 1234567", "+31201234567");
        same(Means::Address, "Damrak 1\nAmsterdam", "damrak 1  amsterdam");
        assert_ne!(
            Means::Phone.normalised("+31201234567"),
            Means::Phone.normalised("+31201234568")
        );
        assert_eq!(Means::Phone.normalised("unknown"), "");
    }
}
