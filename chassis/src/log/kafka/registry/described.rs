//! What a schema's id stands for, and whether a message may bear it.

use viscount_contracts::Topic;

/// A registered schema, as far as a reader has to know it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::log::kafka) struct Described {
    id: u32,
    /// The topics in whose subject it is and whose package it has.
    topics: Vec<Topic>,
    /// The messages at the top of its file, in order.
    messages: Vec<String>,
}

impl Described {
    /// The schema that this program has compiled in.
    pub(super) fn own(id: u32, topic: Topic) -> Self {
        Self { id, topics: vec![topic], messages: topic.messages() }
    }

    /// A schema by its text and its subjects. What is no protobuf file describes nothing.
    pub(super) fn of(id: u32, text: &str, subjects: &[String], subject: impl Fn(Topic) -> String) -> Self {
        let Ok(file) = protox_parse::parse("schema.proto", text) else {
            return Self { id, topics: Vec::new(), messages: Vec::new() };
        };
        let is_of = |topic: &Topic| {
            subjects.contains(&subject(*topic)) && file.package.as_deref() == Some(&topic.package())
        };
        let topics = Topic::ALL.into_iter().filter(is_of).collect();
        let messages = file.message_type.iter().map(|message| message.name().to_owned()).collect();
        Self { id, topics, messages }
    }

    /// True when the message at this place of the schema is an event of this kind on this topic.
    pub(in crate::log::kafka) fn allows(&self, topic: Topic, path: &[u32], kind: &str) -> Result<(), String> {
        let id = self.id;
        if !self.topics.contains(&topic) {
            return Err(format!("schema {id} is none of {topic}"));
        }
        let [index] = path else { return Err(format!("schema {id}: no event is a nested message")) };
        let message = usize::try_from(*index).ok().and_then(|index| self.messages.get(index));
        match message {
            Some(message) if message == kind => Ok(()),
            Some(message) => Err(format!("schema {id} has {message} at index {index}, ce_type is {kind}")),
            None => Err(format!("schema {id} has no message at index {index}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(topic: Topic) -> String {
        format!("p.{topic}-value")
    }

    fn described(text: &str, subjects: &[&str]) -> Described {
        let subjects: Vec<String> = subjects.iter().map(|subject| (*subject).to_owned()).collect();
        Described::of(7, text, &subjects, subject)
    }

    #[test]
    fn a_schema_by_its_text_is_the_one_that_was_compiled() {
        for topic in Topic::ALL {
            let read = described(topic.schema().text, &["other", &subject(topic)]);
            assert_eq!(read, Described::own(7, topic));
        }
    }

    #[test]
    fn a_message_is_what_its_schema_says_or_refused() {
        let orders = described(Topic::Orders.schema().text, &[&subject(Topic::Orders)]);
        assert_eq!(orders.allows(Topic::Orders, &[2], "OrderCreated"), Ok(()));
        for (topic, path, kind) in [
            (Topic::Orders, &[2][..], "OrderCancelled"),
            (Topic::Orders, &[99], "OrderCreated"),
            (Topic::Orders, &[2, 0], "OrderCreated"),
            (Topic::Payments, &[2], "OrderCreated"),
        ] {
            assert!(orders.allows(topic, path, kind).is_err(), "{topic} {path:?} {kind}");
        }
    }

    #[test]
    fn a_foreign_schema_allows_nothing() {
        let text = Topic::Orders.schema().text;
        for foreign in [
            described(text, &["orders.events.v1-value", "p.orders.events.v1-key"]),
            described(
                "syntax = \"proto3\"; package other; message OrderCreated {}",
                &[&subject(Topic::Orders)],
            ),
            described("{\"type\": \"record\"}", &[&subject(Topic::Orders)]),
            described("", &[&subject(Topic::Orders)]),
        ] {
            assert!(foreign.allows(Topic::Orders, &[0], "OrderCreated").is_err(), "{foreign:?}");
        }
    }
}
