//! `viscount dev features`.

use serde_json::{Value, json};

/// What this program was built with: the cargo features that change what it does.
pub fn features() -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "features": {
            "kafka": cfg!(feature = "kafka"),
            "kafka-tls": cfg!(feature = "kafka-tls"),
            "failpoints": cfg!(feature = "failpoints"),
        },
    })
}
