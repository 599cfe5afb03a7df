//! What happened, as JSON and as HTML.
