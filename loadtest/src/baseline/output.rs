//! What pgbench prints at its end.

use crate::report::model::Bench;

/// The figures, when they are all there.
pub fn parse(output: &str) -> Option<Bench> {
    let after = |name: &str| output.lines().find_map(|line| line.trim().strip_prefix(name));
    let number = |text: &str| text.split_whitespace().next()?.parse::<f64>().ok();
    // Before version 14 there were two lines, and the second one left connecting out.
    let rate = output.lines().filter_map(|line| line.trim().strip_prefix("tps = ")).next_back();
    let done = after("number of transactions actually processed:")?.trim();
    let done = done.split('/').next()?.trim().parse().ok()?;
    Some(Bench {
        per_second: number(rate?)?,
        latency_ms: number(after("latency average =")?.trim())?,
        done,
        failed: after("number of failed transactions:").and_then(number).unwrap_or_default() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION_15: &str = "pgbench (15.18 (Debian 15.18-0+deb12u1))
transaction type: -
scaling factor: 1
query mode: prepared
number of clients: 16
number of threads: 2
maximum number of tries: 1
duration: 10 s
number of transactions actually processed: 20497
number of failed transactions: 3 (0.015%)
latency average = 7.806 ms
initial connection time = 21.522 ms
tps = 2049.708154 (without initial connection time)
";
    const VERSION_13: &str = "transaction type: x.sql
number of transactions actually processed: 100/100
latency average = 1.500 ms
tps = 600.5 (including connections establishing)
tps = 666.6 (excluding connections establishing)
";

    #[test]
    fn what_it_prints_is_read() {
        let bench = Bench { per_second: 2_049.708_154, latency_ms: 7.806, done: 20_497, failed: 3 };
        assert_eq!(parse(VERSION_15), Some(bench));
    }

    #[test]
    fn older_ones_print_two_rates() {
        let bench = Bench { per_second: 666.6, latency_ms: 1.5, done: 100, failed: 0 };
        assert_eq!(parse(VERSION_13), Some(bench));
    }

    #[test]
    fn anything_else_is_not_a_result() {
        assert_eq!(parse("pgbench: error: connection to server failed"), None);
        assert_eq!(parse(&VERSION_15.replace("tps", "spt")), None);
    }
}
