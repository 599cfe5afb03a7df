//! `viscount`: the whole platform in one program. See `viscount --help`, and the README for a tour.

mod cli;
mod commands;
mod failure;
mod home;
mod stack;

use std::process::ExitCode;

use clap::Parser;
use viscount_chassis::config::Env;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    viscount_chassis::failpoint::arm();
    viscount_actors::log_contained_panics();
    match commands::run(cli, Env::from_process()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("viscount: {failure}");
            failure.exit_code()
        }
    }
}
