//! Counts instructions and holds them against the budget.
//!
//! ```text
//! cargo run --release -p viscount-bench --bin instructions            checks bench/budgets.toml
//! cargo run --release -p viscount-bench --bin instructions -- renew   writes it anew
//! ```

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use viscount_bench::{
    budgets::Budgets,
    callgrind::{be_counted, count},
    scenarios::{ALL, named},
};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        [] | ["check"] => check(),
        ["renew"] => renew(),
        ["once", name] => once(name),
        _ => Err("usage: instructions [check | renew]".into()),
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("instructions: {failure}");
        ExitCode::from(2)
    })
}

/// Where the budgets are: beside the sources that this was built from.
fn budgets_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("budgets.toml")
}

fn read_budgets() -> Result<Budgets, Failure> {
    let path = budgets_file();
    let named = |problem: String| format!("{}: {problem}", path.display());
    let text = fs::read_to_string(&path).map_err(|error| named(error.to_string()))?;
    Ok(Budgets::parse(&text).map_err(|error| named(error.to_string()))?)
}

/// Counts each scenario and hands on what came of it.
fn count_all(mut each: impl FnMut(&'static str, u64)) -> Result<PathBuf, Failure> {
    // Budgets are of the build that users have; a debug build says nothing about it.
    if cfg!(debug_assertions) {
        return Err("only a release build is counted: cargo run --release …".into());
    }
    let program = env::current_exe()?;
    let folder = program.with_file_name("callgrind");
    for scenario in ALL {
        each(scenario.name, count(scenario, &program, &["once"], &folder)?);
    }
    Ok(folder)
}

fn check() -> Result<ExitCode, Failure> {
    let budgets = read_budgets()?;
    let names: Vec<_> = ALL.iter().map(|scenario| scenario.name).collect();
    let mut passed = true;
    for stranger in budgets.strangers(&names) {
        println!("{stranger}: a budget, but no such scenario");
        passed = false;
    }
    println!("{:<16} {:>10} {:>10} {:>8}", "scenario", "count", "budget", "");
    let folder = count_all(|name, count| {
        let verdict = budgets.judge(name, count);
        passed &= verdict.passes();
        let budget = budgets.instructions.get(name).map_or_else(String::new, u64::to_string);
        let difference =
            budgets.difference(name, count).map_or_else(String::new, |percent| format!("{percent:+.1} %"));
        println!("{name:<16} {count:>10} {budget:>10} {difference:>8}  {}", verdict.words());
    })?;
    if passed {
        return Ok(ExitCode::SUCCESS);
    }
    println!("what they are spent on: callgrind_annotate {}/<scenario>.out", folder.display());
    println!("if they are worth it: cargo run --release -p viscount-bench --bin instructions -- renew");
    Ok(ExitCode::FAILURE)
}

fn renew() -> Result<ExitCode, Failure> {
    let mut budgets = read_budgets()?;
    budgets.instructions.clear();
    count_all(|name, count| {
        println!("{name:<16} {count:>10}");
        budgets.instructions.insert(name.to_owned(), count);
    })?;
    let names: Vec<_> = ALL.iter().map(|scenario| scenario.name).collect();
    fs::write(budgets_file(), budgets.render(&names))?;
    Ok(ExitCode::SUCCESS)
}

/// What runs under callgrind.
fn once(name: &str) -> Result<ExitCode, Failure> {
    let scenario = named(name).ok_or_else(|| format!("no scenario {name}"))?;
    be_counted(scenario);
    Ok(ExitCode::SUCCESS)
}
