//! The schemas as the text in which they were written: what a schema registry is given.

use crate::{Topic, events};

/// One `.proto` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// The name by which others import it, such as `viscount/common/v1/common.proto`.
    pub file: &'static str,
    /// The whole file.
    pub text: &'static str,
    /// What it imports.
    pub imports: &'static [&'static Schema],
}

static COMMON: Schema = Schema {
    file: "viscount/common/v1/common.proto",
    text: include_str!("../proto/viscount/common/v1/common.proto"),
    imports: &[],
};

macro_rules! schema {
    ($file:literal imports $imports:expr) => {{
        static SCHEMA: Schema =
            Schema { file: $file, text: include_str!(concat!("../proto/", $file)), imports: $imports };
        &SCHEMA
    }};
}

impl Topic {
    /// The file that describes every event of this topic.
    pub fn schema(self) -> &'static Schema {
        match self {
            Topic::Catalog => schema!("viscount/catalog/v1/events.proto" imports &[&COMMON]),
            Topic::Inventory => schema!("viscount/inventory/v1/events.proto" imports &[]),
            Topic::Orders => schema!("viscount/orders/v1/events.proto" imports &[&COMMON]),
            Topic::Payments => schema!("viscount/payments/v1/events.proto" imports &[&COMMON]),
            Topic::Identity => schema!("viscount/identity/v1/events.proto" imports &[]),
            Topic::Coordination => schema!("viscount/coordination/v1/events.proto" imports &[]),
        }
    }

    /// The protobuf package of its events, such as `viscount.orders.v1`.
    pub fn package(self) -> String {
        format!("viscount.{}.v1", self.service())
    }

    /// The messages at the top of its file, in the order in which they stand there. Not all of them are events.
    pub fn messages(self) -> Vec<String> {
        events::messages(self.schema().file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::KINDS;

    #[test]
    fn what_is_given_away_is_what_was_compiled() {
        for topic in Topic::ALL {
            let (schema, messages) = (topic.schema(), topic.messages());
            assert!(schema.text.contains(&format!("package {};", topic.package())), "{topic}");
            for (_, kind) in KINDS.iter().filter(|(other, _)| *other == topic) {
                assert!(messages.iter().any(|message| message == kind), "{topic} {kind}");
            }
            let imports: Vec<String> =
                schema.imports.iter().map(|import| format!("import \"{}\";", import.file)).collect();
            let lines: Vec<&str> = schema.text.lines().filter(|line| line.starts_with("import")).collect();
            assert_eq!(lines, imports, "{topic}");
        }
    }

    #[test]
    fn messages_stand_in_the_order_of_the_file() {
        let inventory = Topic::Inventory.messages();
        assert_eq!(inventory[..3], ["Line", "ShortLine", "InventoryReserved"]);
    }
}
