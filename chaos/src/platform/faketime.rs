//! Clocks that jump: libfaketime, which is put before the C library and reads how wrong the clock is from a file.
//!
//! Debian, Ubuntu: `apt install libfaketime`. `VISCOUNT_FAKETIME` names the library where it is elsewhere.

use std::path::{Path, PathBuf};

/// Where distributions keep it.
const PLACES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime",
    "/usr/lib/aarch64-linux-gnu/faketime",
    "/usr/lib64/faketime",
    "/usr/lib/faketime",
];
/// The one for programs with many threads first.
const NAMES: [&str; 2] = ["libfaketimeMT.so.1", "libfaketime.so.1"];

/// The library, where it is installed.
pub fn library() -> Option<PathBuf> {
    let named = std::env::var_os("VISCOUNT_FAKETIME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let installed = || PLACES.iter().flat_map(|place| NAMES.map(|name| Path::new(place).join(name)));
    named.or_else(|| installed().find(|library| library.is_file()))
}

/// What a process has to be told so that its wall clock is as wrong as the file says, such as `+600` or `-10m`, and may be
/// told otherwise while it runs. Clocks that only measure time go right.
pub fn variables(library: &Path, file: &Path) -> [(&'static str, String); 4] {
    [
        ("LD_PRELOAD", library.to_string_lossy().into_owned()),
        ("FAKETIME_TIMESTAMP_FILE", file.to_string_lossy().into_owned()),
        ("FAKETIME_CACHE_DURATION", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}
