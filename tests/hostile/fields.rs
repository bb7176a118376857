//! Every field of every kind of step, wrong in every way that its schema knows of: missing, of another type, unknown, blank,
//! zero, or naming a step that there is not. Each refusal has a SQLSTATE, says which step and which field, and what to do.
//!
//! The fields come from wf.document_schema(), the sound steps from docs/steps.md: a new field, or a new kind, is tried as soon
//! as it is there.

use super::*;
use workflow_engine_tests::{define_sql, step_examples};

/// Texts that may be blank: they are for people alone.
const MAY_BE_BLANK: [&str; 2] = ["label", "text"];

/// Numbers that may be 0, and those that may be as large as they like.
const MAY_BE_ZERO: [&str; 9] = [
    "days",
    "business_days",
    "months",
    "hours",
    "minutes",
    "grace",
    "remind_before",
    "decimals",
    "at_least",
];
const MAY_BE_LARGE: [&str; 8] = [
    "days",
    "business_days",
    "months",
    "hours",
    "minutes",
    "grace",
    "remind_before",
    "broken_at",
];

/// The fields that all kinds share are looked into with one kind that a person settles, and one that the engine does; with
/// the others, as a whole.
const LOOKED_INTO: [&str; 2] = ["task", "email"];
const SHARED: [&str; 4] = ["on", "due", "links", "escalate"];

/// A value somewhere in a document.
type Path = Vec<String>;

fn place<'a>(value: &'a mut Value, path: &[String]) -> &'a mut Value {
    path.iter()
        .fold(value, |value, key| match key.parse::<usize>() {
            Ok(index) if value.is_array() => &mut value[index],
            _ => &mut value[key.as_str()],
        })
}

/// Something wrong with a step: where, the value instead (none: it is missing), and what has to be said about it.
struct Wrong {
    path: Path,
    value: Option<Value>,
    /// What has to be said, besides the step's name and that of the field, or of one that it stands in.
    says: Option<&'static str>,
    /// It needs the rest of the object, too: a sound one of its schema stands in for it.
    within: Option<(Path, Value)>,
}

impl Wrong {
    fn put_into(&self, sound: &mut Value) {
        if let Some((path, value)) = &self.within {
            *place(sound, path) = value.clone();
        }
        let (last, outer) = self.path.split_last().expect("a field");
        match &self.value {
            Some(value) => *place(sound, &self.path) = value.clone(),
            None => {
                place(sound, outer)
                    .as_object_mut()
                    .expect("an object")
                    .remove(last);
            }
        }
    }

    /// What is wrong, for people.
    fn told(&self) -> String {
        let value = self.value.as_ref().unwrap_or(&Value::Null);
        format!("{} = {value}", self.path.join("."))
    }

    /// Whether a refusal has the SQLSTATE, a hint, and names the field, or one that it stands in.
    fn is_named(&self, failure: &Failure) -> bool {
        let text = failure.text();
        let names = self.path.iter().any(|field| text.contains(field));
        failure.sqlstate == "22023"
            && !failure.hint.is_empty()
            && self.says.map_or(names, |says| text.contains(says))
    }
}

struct Schema(Value);

impl Schema {
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let named = schema["$ref"].as_str().or_else(|| {
            schema["anyOf"]
                .as_array()?
                .iter()
                .find_map(|one| one["$ref"].as_str())
        });
        match named {
            Some(name) => &self.0["$defs"][name.trim_start_matches("#/$defs/")],
            None => schema,
        }
    }

    fn is(schema: &Value, kind: &str) -> bool {
        match &schema["type"] {
            Value::String(one) => one == kind,
            Value::Array(several) => several.iter().any(|one| one == kind),
            _ => false,
        }
    }

    /// A sound value of a schema, as far as reading goes.
    fn sample(&self, schema: &Value) -> Value {
        let schema = self.resolve(schema);
        if let Some(choices) = schema["oneOf"].as_array().or(schema["enum"].as_array()) {
            let first = &choices[0];
            return first.get("const").unwrap_or(first).clone();
        }
        if Self::is(schema, "object") {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let fields = required.iter().filter_map(Value::as_str);
            return fields
                .map(|name| (name.to_owned(), self.sample(&schema["properties"][name])))
                .collect::<serde_json::Map<_, _>>()
                .into();
        }
        if Self::is(schema, "array") {
            return json!([self.sample(&schema["items"])]);
        }
        if Self::is(schema, "string") {
            return "x".into();
        }
        if Self::is(schema, "boolean") {
            return true.into();
        }
        1.into()
    }

    /// What may be wrong with a value of a schema that stands, or could stand, at a path; `field` is its name.
    fn wrongs(
        &self,
        schema: &Value,
        present: Option<&Value>,
        path: &[String],
        field: &str,
        out: &mut Vec<Wrong>,
    ) {
        let link = schema.get("x-step").and_then(Value::as_str);
        let inner = self.resolve(schema);
        let mut add = |value: Value| {
            out.push(Wrong {
                says: (link.is_some() && value == "no such step").then_some("no such step"),
                path: path.to_vec(),
                value: Some(value),
                within: None,
            });
        };
        if Self::is(inner, "object") && inner.get("properties").is_some() {
            add(json!("no object"));
            let sample = present.cloned().unwrap_or_else(|| self.sample(schema));
            let before = out.len();
            self.object(inner, &sample, path, out);
            if present.is_none() {
                for wrong in &mut out[before..] {
                    wrong.within.get_or_insert((path.to_vec(), sample.clone()));
                }
            }
        } else if Self::is(inner, "array") {
            add(json!("no list"));
            let items = &inner["items"];
            let sample = match present {
                Some(Value::Array(list)) if !list.is_empty() => present.cloned(),
                _ => None,
            };
            let list = sample
                .clone()
                .unwrap_or_else(|| json!([self.sample(items)]));
            let first: Path = path.iter().cloned().chain(["0".to_owned()]).collect();
            // The step of a list of links stands in the list's own schema.
            let mut items = items.clone();
            if let Some(link) = link {
                items["x-step"] = link.into();
            }
            let before = out.len();
            self.wrongs(&items, Some(&list[0]), &first, field, out);
            if sample.is_none() {
                for wrong in &mut out[before..] {
                    wrong.within.get_or_insert((path.to_vec(), list.clone()));
                }
            }
        } else if Self::is(inner, "string")
            || inner.get("enum").is_some()
            || inner.get("oneOf").is_some()
        {
            add(json!(7));
            let is_choice = inner.get("enum").is_some() || inner.get("oneOf").is_some();
            if is_choice {
                add(json!("nonsense"));
            } else if link.is_some() {
                add(json!("no such step"));
            } else if !MAY_BE_BLANK.contains(&field) {
                add(json!(" "));
            }
        } else if Self::is(inner, "boolean") {
            add(json!("no"));
        } else if Self::is(inner, "integer") {
            add(json!("many"));
            add(json!(1.5));
            if !MAY_BE_ZERO.contains(&field) {
                add(json!(0));
            }
            if !MAY_BE_LARGE.contains(&field) {
                add(json!(65_535));
            }
        }
    }

    /// What may be wrong with the fields of an object.
    fn object(&self, schema: &Value, present: &Value, path: &[String], out: &mut Vec<Wrong>) {
        let below =
            |name: &str| -> Path { path.iter().cloned().chain([name.to_owned()]).collect() };
        out.push(Wrong {
            path: below("nonsense"),
            value: Some(json!(1)),
            says: Some("nonsense"),
            within: None,
        });
        for name in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            out.push(Wrong {
                path: below(name),
                value: None,
                says: None,
                within: None,
            });
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if name != "kind" {
                self.wrongs(property, present.get(name), &below(name), name, out);
            }
        }
    }
}

/// Saves and publishes a document, which must be refused.
fn refusal(db: &mut Session, document: &Value) -> Result<Failure, String> {
    let name = document["name"].as_str().expect("a name");
    let sql = format!("{}; SELECT wf.publish('{name}')", define_sql(document));
    match db.try_exec(&sql) {
        Err(failure) => Ok(failure),
        Ok(()) => Err("was let through".to_owned()),
    }
}

#[test]
fn s23_whatever_is_wrong_with_a_field_of_a_step_is_refused_by_its_name() {
    let mut db = TestDb::new();
    db.bind_invoice();
    db.exec("SELECT wf.set_participant(p) FROM unnest('{ar_specialist,back_office,clerk}'::text[]) AS p");
    let schema =
        Schema(serde_json::from_str(&db.lines("SELECT wf.document_schema()")[0]).expect("JSON"));
    let mut tried = 0;
    let mut faults = Vec::new();
    for (kind, steps) in step_examples() {
        let number = steps
            .as_array()
            .expect("a list")
            .iter()
            .position(|step| step["kind"] == kind.as_str())
            .expect("the example has its kind");
        let sound = edited(invoice_workflow("fields", json!([])), |doc| {
            doc["phases"][0]["steps"] = steps.clone();
            doc["money"] = json!({"open": "open_amount"});
        });
        let step = &steps[number];
        let mut wrongs = Vec::new();
        schema.object(
            &schema.0["$defs"][format!("Step_{kind}")],
            step,
            &[],
            &mut wrongs,
        );
        let own = step["name"].as_str().expect("a name");
        wrongs.retain(|wrong| {
            // Of how many rows a case will be, nobody knows.
            let unknown =
                kind == "for_each" && wrong.path == ["need"] && wrong.value == Some(json!(65_535));
            !unknown
                && (LOOKED_INTO.contains(&kind.as_str())
                    || wrong.path.len() == 1
                    || !SHARED.contains(&wrong.path[0].as_str()))
        });
        for wrong in wrongs {
            let mut document = sound.clone();
            let step = &mut document["phases"][0]["steps"][number];
            wrong.put_into(step);
            tried += 1;
            let what = format!("{kind}: {}", wrong.told());
            match refusal(&mut db, &document) {
                Err(fault) => faults.push(format!("{what}: {fault}")),
                Ok(failure) => {
                    let text = failure.text();
                    let renamed = wrong.path == ["name"];
                    let sound = wrong.is_named(&failure)
                        && (renamed || text.contains(&format!("step \"{own}\"")));
                    if !sound {
                        faults.push(format!("{what}: {text}"));
                    }
                }
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {tried}:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(tried > 900, "{tried} faults were tried");
}

#[test]
fn s23_whatever_is_wrong_with_a_field_of_the_document_is_refused_by_its_name() {
    let mut db = TestDb::new();
    db.bind_invoice();
    let schema =
        Schema(serde_json::from_str(&db.lines("SELECT wf.document_schema()")[0]).expect("JSON"));
    let sound = invoice_workflow(
        "fields",
        json!([{"name": "remark", "kind": "note", "text": "Seen."}]),
    );
    let mut wrongs = Vec::new();
    schema.object(&schema.0, &sound, &[], &mut wrongs);
    wrongs.retain(|wrong| {
        let field = wrong.path[0].as_str();
        let blank = wrong.value == Some(json!(" "));
        // For people alone; and a pause of any length between messages that were late.
        let for_people = ["title", "description", "category", "author", "related"].contains(&field);
        let pause = wrong.path == ["outage", "gap_minutes"]
            && (wrong.value == Some(json!(0)) || wrong.value == Some(json!(65_535)));
        field != "phases" && !(for_people && blank) && !pause
    });
    let mut faults = Vec::new();
    let tried = wrongs.len();
    for wrong in wrongs {
        let mut document = sound.clone();
        wrong.put_into(&mut document);
        if document["name"].as_str().is_none() {
            continue;
        }
        match refusal(&mut db, &document) {
            Err(fault) => faults.push(format!("{}: {fault}", wrong.told())),
            Ok(failure) if wrong.is_named(&failure) => {}
            Ok(failure) => faults.push(format!("{}: {}", wrong.told(), failure.text())),
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {tried}:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(tried > 100, "{tried} faults were tried");
}
