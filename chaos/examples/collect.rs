//! Collects what a platform at rest has in its databases and topics into a file, and audits it: how the good data set in
//! `chaos/testdata` was made, and a way to audit a platform that the rig has not started.
//!
//! `cargo run -p chaos --example collect -- <postgres://…/postgres> <brokers or -> <history.jsonl or -> <dataset.jsonl.gz>`

use std::{error::Error, path::Path, process::ExitCode, time::Instant};

use chaos::audit::{self, Sources, Terms};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, brokers, history, file] = arguments.as_slice() else {
        return Err("usage: collect <postgres://…/postgres> <brokers or -> <history or -> <file>".into());
    };
    let server = server.trim_end_matches("postgres");
    let given = |text: &str| (text != "-").then(|| text.to_owned());
    let sources = Sources {
        brokers: given(brokers),
        history: given(history).map(Into::into),
        ..Sources::found_by(|database| format!("{server}{database}"))
    };
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let data = runtime.block_on(audit::collect(&sources))?;
    eprintln!(
        "collected {} events and {} records in {:?}",
        data.events.len(),
        data.records.len(),
        begun.elapsed()
    );
    data.write(Path::new(file))?;
    let begun = Instant::now();
    let violations = audit::check(&data, &Terms::default());
    eprintln!("checked in {:?}", begun.elapsed());
    for violation in &violations {
        println!("{violation}\n");
    }
    println!("{} violations", violations.len());
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
