//! A product as it is now.

use jiff::Timestamp;
use viscount_contracts::ProductId;

use super::{Attributes, Description, Label, Name, Price, Sku};

/// What an editor edits: all of it is replaced at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// The shop's own number.
    pub sku: Sku,
    /// What it is called.
    pub name: Name,
    /// Running text.
    pub description: Option<Description>,
    /// Where it is listed.
    pub category: Option<Label>,
    /// Who makes it.
    pub brand: Option<Label>,
    /// What a piece costs.
    pub price: Price,
    /// Whatever else there is to know.
    pub attributes: Attributes,
}

/// A product as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// The version of its newest event: what the next event builds on.
    pub version: i32,
    /// The version of the newest event that changed what an editor edits. This is what an `ETag` shows and `If-Match`
    /// asks for: an editor need not start again because the last piece was sold meanwhile.
    pub revision: i32,
    /// What an editor edits.
    pub details: Details,
    /// Archived products are not listed, found or sold. Old orders go on showing them.
    pub archived: bool,
    /// When it came to be.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
}

impl Product {
    /// A product of this moment: what [`super::Event::Created`] brings about.
    pub fn new(id: ProductId, details: Details, at: Timestamp) -> Self {
        Self { id, version: 1, revision: 1, details, archived: false, created_at: at, updated_at: at }
    }

    /// The category that it is listed in, if it is listed in one.
    pub fn listed_in(&self) -> Option<&Label> {
        self.details.category.as_ref().filter(|_| !self.archived)
    }
}
