//! The schemas as they are in `contracts/proto`, comments included.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor};
use viscount_contracts::Topic;

/// `syntax` in a file's descriptor, where the comment that opens the file stands.
const SYNTAX: [i32; 1] = [12];

pub static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
    let proto = contracts().join("proto");
    let files = Topic::ALL.map(|topic| format!("viscount/{}/v1/events.proto", topic.service()));
    let compiled = protox::compile(files, [proto]).unwrap();
    let pool = DescriptorPool::from_file_descriptor_set(compiled).unwrap();
    let mut comments = HashMap::new();
    for file in pool.files() {
        let source = file.file_descriptor_proto().source_code_info.as_ref().unwrap();
        for location in &source.location {
            let text = location.leading_comments().split_whitespace().collect::<Vec<_>>().join(" ");
            comments.insert((file.name().to_owned(), location.path.clone()), text);
        }
    }
    Schemas { pool, comments }
});

/// The folder of this crate.
pub fn contracts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

pub struct Schemas {
    pool: DescriptorPool,
    comments: HashMap<(String, Vec<i32>), String>,
}

impl Schemas {
    /// The file of a topic's events.
    pub fn file(&self, topic: Topic) -> FileDescriptor {
        self.pool.get_file_by_name(&format!("viscount/{}/v1/events.proto", topic.service())).unwrap()
    }

    /// The message of this kind on this topic.
    pub fn event(&self, topic: Topic, kind: &str) -> MessageDescriptor {
        self.pool.get_message_by_name(&format!("viscount.{}.v1.{kind}", topic.service())).unwrap()
    }

    /// What is said before a message, a field or, with no path, a file.
    pub fn comment(&self, file: &FileDescriptor, path: &[i32]) -> &str {
        let path = if path.is_empty() { &SYNTAX } else { path };
        let said = self.comments.get(&(file.name().to_owned(), path.to_vec()));
        said.filter(|said| !said.is_empty()).unwrap_or_else(|| panic!("no comment: {} {path:?}", file.name()))
    }
}

/// `orders.OrderCreated` for `viscount.orders.v1.OrderCreated`.
pub fn short_name(message: &MessageDescriptor) -> String {
    message.full_name().trim_start_matches("viscount.").replace(".v1.", ".")
}
