//! Trees and exits as text.

use serde_json::Value;

/// How many characters of a panic's message are shown in a line.
const SHOWN: usize = 120;

/// One line for each node, its children below it, and one for each entity that is slow or in quarantine.
pub fn tree(root: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    node(root, 0, &mut lines);
    lines
}

fn node(node_: &Value, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let text = |name: &str| node_[name].as_str().unwrap_or("-");
    let mut line = format!("{indent}{} [{}] {}", text("name"), text("kind"), text("state"));
    let mut add = |what: &str, name: &str| {
        if let Some(value) = node_.get(name).filter(|value| !value.is_null() && value.as_u64() != Some(0)) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            line.push_str(&format!(" {what}={value}"));
        }
    };
    add("strategy", "strategy");
    add("restart", "restart");
    add("restarts", "restarts");
    add("live", "live");
    add("waiting", "mailbox_depth");
    add("stuck", "stuck");
    if let (Some(left), Some(most)) =
        (node_["restart_budget_remaining"].as_u64(), node_["intensity"]["max_restarts"].as_u64())
    {
        line.push_str(&format!(" budget={left}/{most}"));
    }
    if let Some(seconds) = node_["stuck_seconds"].as_f64() {
        line.push_str(&format!(" no_progress_for={seconds:.0}s"));
    }
    if !node_["last_exit"].is_null() {
        line.push_str(&format!(" last_exit={}", exit(&node_["last_exit"])));
    }
    lines.push(line);
    for slow in node_["slow"].as_array().into_iter().flatten() {
        let id = slow["id"].as_str().unwrap_or("-");
        let at = slow["message_kind"].as_str().unwrap_or("its messages");
        let seconds = slow["seconds"].as_f64().unwrap_or_default();
        lines.push(format!("{indent}  slow {id} at {at} for {seconds:.0} s"));
    }
    for held in node_["quarantined"].as_array().into_iter().flatten() {
        let id = held["id"].as_str().unwrap_or("-");
        let ago = held["seconds_ago"].as_f64().unwrap_or_default();
        lines.push(format!("{indent}  quarantined {id} for {ago:.0} s: {}", exit(&held["last_exit"])));
    }
    for child in node_["children"].as_array().into_iter().flatten() {
        node(child, depth + 1, lines);
    }
}

/// One line for each, and where a panic happened below it.
pub fn exits(exits: &[Value]) -> Vec<String> {
    let mut lines = Vec::new();
    for found in exits {
        let text = |name: &str| found[name].as_str();
        let mut line = format!("{} {}", text("at").unwrap_or("-"), text("path").unwrap_or("-"));
        line.extend(text("id").map(|id| format!(" {id}")));
        line.extend(text("message_kind").map(|kind| format!(" on {kind}")));
        let up = found["uptime_seconds"].as_f64().unwrap_or_default();
        lines.push(format!("{line}: {} (after {up:.1} s)", exit(&found["exit"])));
        let frames = text("backtrace").unwrap_or_default();
        lines.extend(frames.lines().find(|line| line.trim_start().starts_with("at ")).map(str::to_owned));
    }
    lines.push(format!("{} exits", exits.len()));
    lines
}

/// `panicked during handle: …`
fn exit(exit: &Value) -> String {
    let kind = exit["kind"].as_str().unwrap_or("-");
    let detail = &exit["detail"];
    let said = match (detail["during"].as_str(), detail["message"].as_str()) {
        (Some(during), Some(message)) => format!("{kind} during {during}: {message}"),
        _ => detail.as_str().map_or_else(|| kind.to_owned(), |detail| format!("{kind}: {detail}")),
    };
    // Whoever panicked may have meant the terminal.
    said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tree_is_indented_and_shows_who_is_quarantined_or_slow() {
        let panicked =
            json!({"kind": "panicked", "detail": {"message": "a \u{1b}[2J bug", "during": "handle"}});
        let root = json!({
            "name": "orders", "kind": "supervisor", "state": "running", "strategy": "one_for_one", "restarts": 0,
            "intensity": {"max_restarts": 5, "window_seconds": 30.0}, "restart_budget_remaining": 4, "last_exit": null,
            "children": [{
                "name": "order", "kind": "router", "state": "running", "restart": "permanent", "restarts": 5,
                "live": 3, "last_exit": null, "stuck_seconds": 7.4,
                "slow": [{"id": "0198", "message_kind": "confirm_stock", "seconds": 6.6}, {"id": "0197", "seconds": 5.2}],
                "quarantined": [{"id": "0199", "restarts": 4, "last_exit": panicked, "seconds_ago": 61.2}],
            }],
        });
        assert_eq!(
            tree(&root),
            [
                "orders [supervisor] running strategy=one_for_one budget=4/5",
                "  order [router] running restart=permanent restarts=5 live=3 no_progress_for=7s",
                "    slow 0198 at confirm_stock for 7 s",
                "    slow 0197 at its messages for 5 s",
                "    quarantined 0199 for 61 s: panicked during handle: a  [2J bug",
            ]
        );
    }

    #[test]
    fn an_exit_is_a_line_and_where_it_happened() {
        let found = json!({
            "path": "orders/order", "id": "0199", "at": "2026-11-21T22:00:00Z", "message_kind": "confirm_stock",
            "exit": {"kind": "overdue", "detail": "too late"}, "uptime_seconds": 1.25,
            "backtrace": "   2: orders::obey\n             at ./order.rs:7:9\n",
        });
        assert_eq!(
            exits(&[found]),
            [
                "2026-11-21T22:00:00Z orders/order 0199 on confirm_stock: overdue: too late (after 1.2 s)",
                "             at ./order.rs:7:9",
                "1 exits",
            ]
        );
    }
}
