//! The page.

mod chart;
mod section;
mod text;

use std::fmt::Write as _;

use super::{Report, Verdict};
use text::{anchor, escape};

/// The report as one page.
pub fn page(report: &Report) -> String {
    let run = &report.run;
    let held = report.experiments.iter().filter(|course| course.verdict == Verdict::Holds).count();
    let mut page = String::with_capacity(256 * 1_024);
    page.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.push_str("<title>Faults and promises</title>\n<style>\n");
    page.push_str(include_str!("style.css"));
    page.push_str("</style>\n</head>\n<body>\n<main>\n<h1>Faults and promises</h1>\n");
    // Writing to a string cannot fail.
    let _ = writeln!(
        page,
        "<p>{held} of {} experiments hold. Seed {}; begun {}; viscount {}; {} cores, {} MiB, Linux {}.</p>",
        report.experiments.len(),
        run.seed,
        run.began.strftime("%Y-%m-%d %H:%M:%S UTC"),
        escape(&run.version),
        run.machine.cores,
        run.machine.memory_mib,
        escape(&run.machine.kernel),
    );
    if let Some(armed) = &run.armed {
        let _ = writeln!(
            page,
            "<p class=\"fails\">Run with a defect put in on purpose: <code>{}</code>.</p>",
            escape(armed)
        );
    }
    page.push_str(
        "<table>\n<thead><tr><th>experiment</th><th>verdict</th><th class=\"n\">accepted</th>\
         <th class=\"n\">refused</th><th class=\"n\">unknown</th><th class=\"n\">faults</th>\
         <th class=\"n\">violations</th></tr></thead>\n<tbody>\n",
    );
    for course in &report.experiments {
        let totals = &course.totals;
        let _ = writeln!(
            page,
            "<tr><td><a href=\"#{}\">{}</a></td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            anchor(&course.name),
            escape(&course.name),
            section::verdict(course.verdict),
            totals.accepted,
            totals.refused,
            totals.unknown,
            course.faults_words(),
            course.violations.len()
        );
    }
    page.push_str("</tbody>\n</table>\n");
    for course in &report.experiments {
        section::write(&mut page, course);
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}
