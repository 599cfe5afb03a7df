//! What the catalogue keeps, and how it is asked.
//!
//! Everything is written through [`CatalogWriter`], one statement for a whole batch: events, inbox, products and
//! availability. A product is one row that tells how it is now; the events tell how it came to be so, and the unique
//! (stream, version) of these is what makes `If-Match` exact: two editors who saw the same revision cannot both win.

mod events;
mod list;
mod load;
mod row;
mod search;
mod writer;

pub use events::{entry_events, stored_event};
pub use list::{Filter, ListCursor, Sort, list};
pub use load::{Category, categories, known, load, sku_taken};
pub use row::Listed;
pub use search::{SearchCursor, search};
pub use writer::{CatalogWriter, Projection};
