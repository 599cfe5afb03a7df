//! How metrics are written down: Prometheus' text format 0.0.4, and OpenMetrics 1.0, which is that with a few more rules
//! and with exemplars. The exporter writes the former; here it is put right and turned into the latter, line by line.
//!
//! <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>

use super::exemplars;

/// A text format that Prometheus reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// 0.0.4: whoever asks without a word gets this.
    Text,
    /// OpenMetrics 1.0, with exemplars.
    OpenMetrics,
}

impl Format {
    /// The one that an `Accept` header prefers (RFC 9110 §12.5.1). What it says about other types does not matter: there
    /// are no others.
    pub fn wanted(accept: Option<&str>) -> Self {
        let (mut open, mut text) = (0.0, 0.0);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let (mut weight, mut version) = (1.0_f32, None);
            for parameter in parts {
                match parameter.split_once('=') {
                    Some(("q", value)) => weight = value.parse().unwrap_or(0.0),
                    Some(("version", value)) => version = Some(value.trim_matches('"')),
                    _ => {}
                }
            }
            match kind {
                "application/openmetrics-text" if matches!(version, None | Some("1.0.0")) => {
                    open = weight.max(open)
                }
                "text/plain" => text = weight.max(text),
                _ => {}
            }
        }
        if open > 0.0 && open >= text { Format::OpenMetrics } else { Format::Text }
    }

    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes what the exporter has written in this format.
pub(super) fn write(exported: &str, format: Format) -> String {
    let mut out = String::with_capacity(exported.len() + exported.len() / 8);
    // A description comes before the kind that says under which name it stands.
    let mut help = None;
    let exemplars = exemplars::all();
    for line in exported.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = Some(rest);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            family(&mut out, name, kind, help.take(), format);
        } else if let Some((series, value)) = line.rsplit_once(' ') {
            match series.rsplit_once("le=\"") {
                Some((before, bound)) if bound.ends_with("\"}") && before.ends_with(['{', ',']) => {
                    let bound = bound.trim_end_matches("\"}");
                    let whole = bound.bytes().all(|byte| byte.is_ascii_digit());
                    out.extend([before, "le=\"", bound, if whole { ".0\"} " } else { "\"} " }, value]);
                    if format == Format::OpenMetrics {
                        exemplars.append(before, bound, &mut out);
                    }
                }
                _ => out.push_str(line),
            }
            out.push('\n');
        }
    }
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn family(out: &mut String, name: &str, kind: &str, help: Option<&str>, format: Format) {
    // OpenMetrics: a counter's name is without `_total`, which only its samples have.
    let (name, kind) = match (format, kind) {
        (Format::OpenMetrics, "counter") => match name.strip_suffix("_total") {
            Some(stem) => (stem, kind),
            None => (name, "unknown"),
        },
        _ => (name, kind),
    };
    if let Some((_, help)) = help.and_then(|help| help.split_once(' ')) {
        out.extend(["# HELP ", name, " "]);
        match format {
            Format::OpenMetrics => out.push_str(&help.replace('"', "\\\"")),
            Format::Text => out.push_str(help),
        }
        out.push('\n');
    }
    out.extend(["# TYPE ", name, " ", kind, "\n"]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_the_asker_prefers() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for accept in [
            prometheus,
            "application/openmetrics-text",
            "text/plain;q=0.2, application/openmetrics-text; version=\"1.0.0\"; q=0.2",
        ] {
            assert_eq!(Format::wanted(Some(accept)), Format::OpenMetrics, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/plain",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.3,text/plain",
            "q=;;,,=",
            "application/openmetrics-text;q=é",
        ] {
            assert_eq!(Format::wanted(Some(accept)), Format::Text, "{accept}");
        }
        assert_eq!(Format::wanted(None), Format::Text);
    }

    #[test]
    fn both_formats_have_the_same_series() {
        let exported = "# HELP cakes_total \"good\" cakes\n# TYPE cakes_total counter\ncakes_total{kind=\"a le=\\\"5\\\"\",scale=\"5\"} 3\n\n\
                        # TYPE oven_seconds histogram\noven_seconds_bucket{oven=\"1\",le=\"0.5\"} 1\n\
                        oven_seconds_bucket{oven=\"1\",le=\"5\"} 2\noven_seconds_bucket{oven=\"1\",le=\"+Inf\"} 2\n\
                        oven_seconds_sum{oven=\"1\"} 2.5\noven_seconds_count{oven=\"1\"} 2\n\n";
        let samples = "oven_seconds_bucket{oven=\"1\",le=\"0.5\"} 1\noven_seconds_bucket{oven=\"1\",le=\"5.0\"} 2\n\
                       oven_seconds_bucket{oven=\"1\",le=\"+Inf\"} 2\noven_seconds_sum{oven=\"1\"} 2.5\n\
                       oven_seconds_count{oven=\"1\"} 2\n";
        assert_eq!(
            write(exported, Format::Text),
            format!(
                "# HELP cakes_total \"good\" cakes\n# TYPE cakes_total counter\ncakes_total{{kind=\"a le=\\\"5\\\"\",scale=\"5\"}} 3\n\
                 # TYPE oven_seconds histogram\n{samples}"
            )
        );
        assert_eq!(
            write(exported, Format::OpenMetrics),
            format!(
                "# HELP cakes \\\"good\\\" cakes\n# TYPE cakes counter\ncakes_total{{kind=\"a le=\\\"5\\\"\",scale=\"5\"}} 3\n\
                 # TYPE oven_seconds histogram\n{samples}# EOF\n"
            )
        );
    }
}
