//! The command line of the rig.

use std::process::ExitCode;

fn main() -> ExitCode {
    eprintln!("viscount-chaos: nothing to run yet");
    ExitCode::from(2)
}
