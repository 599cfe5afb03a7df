//! Compiles the protobuf contracts with protox (pure Rust, no protoc) and keeps the descriptor set for reflection.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const FILES: [&str; 7] = [
    "viscount/common/v1/common.proto",
    "viscount/catalog/v1/events.proto",
    "viscount/inventory/v1/events.proto",
    "viscount/orders/v1/events.proto",
    "viscount/payments/v1/events.proto",
    "viscount/identity/v1/events.proto",
    "viscount/coordination/v1/events.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    prost_build::Config::new()
        .enable_type_names()
        // The same event is always the same bytes.
        .btree_map(["."])
        .disable_comments(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
