//! What a manual step says about the people who settle it besides its participant, and the documents that they bring.
//!
//! What follows from it in a case is in `game`; who may do what is for the shell, which knows the database's roles.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::dates::DateRule;
use crate::{Error, ErrorCode};

/// A link that is shown with a task.
#[derive(Clone, Debug, Deserialize, JsonSchema, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// What people read.
    pub label: String,
    /// Where it leads; `{key}` stands for the key of the case's row, `{case}` for the case's id.
    pub url: String,
}

/// What happens when a task's deadline has passed and nobody has settled it. Counts from the deadline, by one of the
/// fields; one business day if none is given.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Escalate {
    /// The participant who is told and may settle it as well; the manager of the task's participant if absent.
    #[serde(default)]
    pub to: Option<String>,
    /// Open days of the workflow's calendar after the deadline.
    #[serde(default)]
    pub business_days: Option<i32>,
    /// Calendar days after the deadline.
    #[serde(default)]
    pub days: Option<i32>,
    /// Hours after the deadline.
    #[serde(default)]
    pub hours: Option<i64>,
}

impl Escalate {
    /// The rule that says when, from the deadline as its anchor.
    fn rule(&self) -> DateRule {
        let unset = self.business_days.is_none() && self.days.is_none() && self.hours.is_none();
        DateRule {
            business_days: self.business_days.unwrap_or(i32::from(unset)),
            days: self.days.unwrap_or(0),
            hours: self.hours.unwrap_or(0),
            ..DateRule::default()
        }
    }
}

/// What a compiled step says about the people who settle it, besides its participant.
#[derive(Debug, Default)]
pub struct People {
    /// A second participant, who may settle it as well.
    pub second: Option<String>,
    pub links: Vec<Link>,
    /// Whom an overdue task is escalated to; None: the manager of its participant.
    pub escalate_to: Option<String>,
    /// When it is escalated, counted from its deadline; None: never.
    pub escalation: Option<DateRule>,
    /// Whether the participant is alerted when the task appears.
    pub notify: bool,
}

impl People {
    /// From the fields of a step.
    pub fn new(
        second: Option<String>,
        links: Vec<Link>,
        escalate: Option<Escalate>,
        notify: bool,
    ) -> Self {
        Self {
            second,
            links,
            escalation: escalate.as_ref().map(Escalate::rule),
            escalate_to: escalate.and_then(|e| e.to),
            notify,
        }
    }

    /// The first of its fields that is set, by name; for steps that must have none.
    pub fn field(&self) -> Option<&'static str> {
        [
            ("second", self.second.is_some()),
            ("links", !self.links.is_empty()),
            ("escalate", self.escalation.is_some()),
            ("notify", self.notify),
        ]
        .into_iter()
        .find_map(|(name, set)| set.then_some(name))
    }
}

/// A document that somebody brought: where it lies, and what is known of it. The database keeps no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it lies: a key of the archive, a path or an address.
    pub reference: String,
    /// Its file name.
    pub name: Option<String>,
    /// Its type as given, or the extension of its name or reference; in lower case.
    pub kind: Option<String>,
}

impl Document {
    /// The documents in the data of a completion: `document`, a reference or an object with `reference`, `name` and
    /// `type`, and `documents`, a list of such.
    ///
    /// # Errors
    /// [`ErrorCode::Input`] for anything else under these names, and for a document of a type that is not allowed; no
    /// `allowed` type: each will do.
    pub fn read(data: Option<&Map<String, Value>>, allowed: &[String]) -> Result<Vec<Self>, Error> {
        let Some(data) = data else {
            return Ok(Vec::new());
        };
        let one = data.get("document").into_iter();
        let list = match data.get("documents") {
            None => &[][..],
            Some(Value::Array(list)) => list,
            Some(_) => return Err(malformed()),
        };
        one.chain(list).map(|v| Self::one(v, allowed)).collect()
    }

    fn one(value: &Value, allowed: &[String]) -> Result<Self, Error> {
        let (reference, name, kind) = match value {
            Value::String(reference) => (reference.as_str(), None, None),
            Value::Object(map) => {
                let text = |field: &str| match map.get(field) {
                    None | Some(Value::Null) => Ok(None),
                    Some(Value::String(text)) => Ok(Some(text.as_str())),
                    Some(_) => Err(malformed()),
                };
                (
                    text("reference")?.unwrap_or(""),
                    text("name")?,
                    text("type")?,
                )
            }
            _ => return Err(malformed()),
        };
        if reference.trim().is_empty() {
            return Err(malformed());
        }
        let extension = extension(name.unwrap_or(reference));
        let kind = kind.map(str::to_lowercase);
        let document = Self {
            reference: reference.to_owned(),
            name: name.map(str::to_owned),
            kind: kind.clone().or_else(|| extension.clone()),
        };
        // What it is called and what is said of it must both be allowed: a program is no PDF for being called one.
        let known: Vec<&String> = kind.iter().chain(&extension).collect();
        let fits = |kind: &str| {
            allowed.iter().any(|allowed| {
                let allowed = allowed.trim_start_matches('.').to_lowercase();
                kind == allowed || kind.rsplit_once('/').is_some_and(|(_, sub)| sub == allowed)
            })
        };
        if allowed.is_empty() || (!known.is_empty() && known.iter().all(|kind| fits(kind))) {
            return Ok(document);
        }
        let what = match known.into_iter().find(|kind| !fits(kind)) {
            Some(kind) => format!("document \"{reference}\" is of type {kind}"),
            None => format!("the type of document \"{reference}\" is not known"),
        };
        Err(Error::new(ErrorCode::Input, what)
            .detail(format!("Allowed are {}.", allowed.join(", ")))
            .hint("Bring it in one of these types; \"type\" and the extension of its name say which it has."))
    }
}

fn malformed() -> Error {
    Error::new(ErrorCode::Input, "the document has no reference").hint(
        "Give data such as {\"document\": \"archive/4711.pdf\"} or {\"document\": {\"reference\": \"4711\", \"name\": \"contract.pdf\"}}.",
    )
}

/// The extension of a file name, path or address; in lower case.
fn extension(name: &str) -> Option<String> {
    let path = name.split(['?', '#']).next().unwrap_or(name);
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let (stem, extension) = file.rsplit_once('.')?;
    (!stem.is_empty() && !extension.is_empty()).then(|| extension.to_lowercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(data: Value, allowed: &[&str]) -> Result<Vec<Document>, Error> {
        let allowed: Vec<String> = allowed.iter().map(|a| (*a).to_owned()).collect();
        Document::read(data.as_object(), &allowed)
    }

    #[test]
    fn rcv_11_a_document_is_a_reference_or_an_object() {
        let one = read(json!({"document": "a/b/Scan.PDF?v=2"}), &["pdf"]).unwrap();
        assert_eq!(one[0].reference, "a/b/Scan.PDF?v=2");
        assert_eq!(one[0].kind.as_deref(), Some("pdf"));
        let two = read(
            json!({"documents": ["x.jpg", {"reference": "4711", "name": "y.pdf", "type": "application/pdf"}]}),
            &[".jpg", "PDF"],
        )
        .unwrap();
        assert_eq!(two.len(), 2);
        assert_eq!(two[1].name.as_deref(), Some("y.pdf"));
        assert_eq!(two[1].kind.as_deref(), Some("application/pdf"));
        assert_eq!(read(json!({"days": 3}), &["pdf"]).unwrap(), []);
    }

    #[test]
    fn rcv_11_a_type_that_is_not_allowed_is_refused() {
        for (data, part) in [
            (json!({"document": "virus.exe"}), "exe"),
            (json!({"document": "4711"}), "not known"),
            (
                json!({"document": {"reference": "4711", "name": "x.exe", "type": "pdf"}}),
                "exe",
            ),
            (
                json!({"document": {"reference": "x.pdf", "type": "image/png"}}),
                "png",
            ),
        ] {
            let error = read(data, &["pdf"]).unwrap_err();
            assert_eq!(error.code, ErrorCode::Input);
            assert!(error.message.contains(part), "{error}");
            assert!(error.hint.is_some());
        }
    }

    #[test]
    fn rcv_11_a_document_without_a_reference_is_refused() {
        for data in [
            json!({"document": ""}),
            json!({"document": 4711}),
            json!({"document": {"name": "x.pdf"}}),
            json!({"document": {"reference": 4711}}),
            json!({"documents": "x.pdf"}),
        ] {
            assert!(read(data.clone(), &[]).is_err(), "{data}");
        }
    }

    #[test]
    fn an_escalation_is_a_business_day_after_the_deadline_unless_it_says_otherwise() {
        assert_eq!(Escalate::default().rule().business_days, 1);
        let hours = Escalate {
            hours: Some(4),
            ..Escalate::default()
        };
        assert_eq!((hours.rule().hours, hours.rule().business_days), (4, 0));
        let at_once = Escalate {
            days: Some(0),
            ..Escalate::default()
        };
        assert_eq!(at_once.rule(), DateRule::default());
    }
}
