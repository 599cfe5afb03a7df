//! What sorts of messages a batch holds, for exits and deadlines: a few names, no allocation, no message.

/// Names of kinds that are told apart; mostly a batch has one message and so one kind.
const MOST: usize = 3;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kinds {
    names: [&'static str; MOST],
    count: usize,
}

impl Kinds {
    /// Costs a comparison of two pointers-and-lengths per message; nothing where kinds have no names.
    pub(super) fn add(&mut self, kind: &'static str) {
        if !kind.is_empty() && self.count < MOST && !self.names().contains(&kind) {
            self.names[self.count] = kind;
            self.count += 1;
        }
    }

    pub(super) fn names(&self) -> &[&'static str] {
        self.names.get(..self.count).unwrap_or_default()
    }

    /// For people.
    pub(super) fn text(&self) -> Option<String> {
        (self.count > 0).then(|| self.names().join("+"))
    }

    /// For a metric's label, so one of a known set.
    pub(super) fn label(&self) -> &'static str {
        match self.names() {
            [] => "unnamed",
            [one] => one,
            _ => "several",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_one_kind_has_its_name_and_a_mixed_one_a_few() {
        let of = |kinds: &[&'static str]| {
            let mut all = Kinds::default();
            kinds.iter().for_each(|kind| all.add(kind));
            (all.text(), all.label())
        };
        assert_eq!(of(&["", ""]), (None, "unnamed"));
        assert_eq!(of(&["a", "a", "a"]), (Some("a".into()), "a"));
        assert_eq!(of(&["a", "b", "a", "c", "d"]), (Some("a+b+c".into()), "several"));
    }
}
