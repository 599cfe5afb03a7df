//! One experiment.

use std::fmt::Write as _;

use super::{
    chart,
    text::{anchor, clock, escape},
};
use crate::{
    audit::Violation,
    experiment::Expectation,
    faults::{Happened, Outcome},
    report::{Course, Verdict},
};

/// More rows than this nobody reads; the JSON has all.
const FAULTS: usize = 300;
const VIOLATIONS: usize = 100;

pub(super) fn verdict(verdict: Verdict) -> String {
    let class = match verdict {
        Verdict::Holds => "holds",
        Verdict::Fails => "fails",
        Verdict::NotRun => "not-run",
    };
    format!("<span class=\"{class}\">{}</span>", verdict.words())
}

pub(super) fn write(page: &mut String, course: &Course) {
    let name = escape(&course.name);
    let _ = writeln!(
        page,
        "<section id=\"{}\">\n<h2>{name}: {}</h2>\n<p>{}</p>",
        anchor(&course.name),
        verdict(course.verdict),
        escape(&course.about)
    );
    match &course.not_run {
        Some(why) => {
            let _ = writeln!(page, "<p class=\"not-run\">Not run: {}</p>", escape(why));
        }
        None => content(page, course),
    }
    page.push_str("</section>\n");
}

fn content(page: &mut String, course: &Course) {
    let totals = &course.totals;
    let orders = totals.orders.iter().map(|(status, count)| format!("{count} {}", escape(status)));
    let orders: Vec<String> = orders.collect();
    let _ = writeln!(
        page,
        "<p class=\"faint\">{} orders accepted ({}); the auditor looked at {} events and {} lines of the clients' history.{}</p>",
        totals.accepted,
        orders.join(", "),
        totals.events,
        totals.lines,
        course.load_time.map_or_else(String::new, |(begun, ended)| {
            format!(
                " The load went from {} to {} UTC.",
                begun.strftime("%H:%M:%S"),
                ended.strftime("%H:%M:%S")
            )
        })
    );
    expectations(page, &course.expectations);
    if !course.troubles.is_empty() {
        page.push_str("<h3>Troubles</h3>\n<ul>\n");
        for trouble in &course.troubles {
            let _ = writeln!(page, "<li class=\"fails\">{}</li>", escape(trouble));
        }
        page.push_str("</ul>\n");
    }
    if !course.timeline.is_empty() {
        page.push_str("<div class=\"scroll\">\n");
        page.push_str(&chart::draw(course));
        page.push_str("</div>\n");
    }
    violations(page, &course.violations);
    faults(page, &course.faults_words(), &course.faults);
}

fn expectations(page: &mut String, expectations: &[Expectation]) {
    if expectations.is_empty() {
        return;
    }
    page.push_str(
        "<h3>Expectations</h3>\n<table>\n<thead><tr><th>name</th><th>what is measured</th><th class=\"n\">expected</th>\
         <th class=\"n\">measured</th><th></th></tr></thead>\n<tbody>\n",
    );
    for expectation in expectations {
        let mark = if expectation.holds { Verdict::Holds } else { Verdict::Fails };
        let _ = writeln!(
            page,
            "<tr><td><code>{}</code></td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            escape(&expectation.name),
            escape(&expectation.about),
            expectation.expected_words(),
            expectation.measured_words(),
            verdict(mark)
        );
    }
    page.push_str("</tbody>\n</table>\n");
}

fn violations(page: &mut String, violations: &[Violation]) {
    if violations.is_empty() {
        page.push_str("<p class=\"holds\">No promise was broken.</p>\n");
        return;
    }
    let _ = writeln!(page, "<h3 class=\"fails\">{} violations</h3>", violations.len());
    for violation in violations.iter().take(VIOLATIONS) {
        let order = violation.order.map_or_else(String::new, |order| format!(" <code>{order}</code>"));
        let _ = writeln!(
            page,
            "<details>\n<summary><b>{}</b>{order} {}</summary>\n<p class=\"faint\">{}</p>",
            violation.promise,
            escape(&violation.what),
            escape(violation.promise.says())
        );
        if !violation.events.is_empty() {
            page.push_str("<ul>\n");
            for event in &violation.events {
                let _ = writeln!(
                    page,
                    "<li><code>{}</code> at position {} of {}, version {}</li>",
                    escape(&event.kind),
                    event.position,
                    escape(&event.service),
                    event.version
                );
            }
            page.push_str("</ul>\n");
        }
        if !violation.history.is_empty() {
            let lines: Vec<String> = violation.history.iter().map(u64::to_string).collect();
            let _ = writeln!(page, "<p>history: <code>{}</code></p>", lines.join(", "));
        }
        page.push_str("</details>\n");
    }
    if violations.len() > VIOLATIONS {
        let _ = writeln!(page, "<p class=\"faint\">and {} more</p>", violations.len() - VIOLATIONS);
    }
}

fn faults(page: &mut String, count: &str, faults: &[Happened]) {
    if faults.is_empty() {
        return;
    }
    let failed = faults.iter().filter(|fault| fault.result != Outcome::Done).count();
    let failed = if failed > 0 { format!(", {failed} of them not as planned") } else { String::new() };
    let _ = writeln!(
        page,
        "<details>\n<summary>{count} faults{failed}</summary>\n<table>\n<thead><tr><th class=\"n\">begun</th>\
         <th class=\"n\">over</th><th>what</th><th>came of it</th></tr></thead>\n<tbody>"
    );
    // What went wrong with them is told, however many there are.
    let told = faults.iter().enumerate().filter(|(at, fault)| *at < FAULTS || fault.result != Outcome::Done);
    for (_, fault) in told {
        let (class, came) = match fault.result {
            Outcome::Done => ("holds", "done"),
            Outcome::NotHit => ("fails", "not hit"),
            Outcome::Failed => ("fails", "failed"),
        };
        let _ = writeln!(
            page,
            "<tr><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td><span class=\"{class}\">{came}</span> {}</td></tr>",
            clock(fault.at),
            clock(fault.until),
            escape(&fault.what),
            escape(&fault.note)
        );
    }
    page.push_str("</tbody>\n</table>\n</details>\n");
}
