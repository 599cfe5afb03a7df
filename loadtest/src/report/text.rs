//! Figures and tables as text.

/// With as many digits as say something: 12,345 or 123 or 12.3 or 1.23.
pub fn figure(figure: f64) -> String {
    let digits = match figure.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    let rounded = format!("{figure:.digits$}");
    let (whole, rest) = rounded.split_once('.').unwrap_or((&rounded, ""));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{rest}", groups(whole))
}

/// 1234567 as 1,234,567.
pub fn count(count: u64) -> String {
    groups(&count.to_string())
}

fn groups(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds as 1:05 or 1:02:03.
pub fn clock(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A share in percent.
pub fn percent(share: f64) -> String {
    format!("{} %", figure(share * 100.0))
}

/// Columns that stand under each other: the first one to the left, figures to the right.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from("  ");
        for (column, cell) in row.iter().enumerate() {
            let wide = widths.get(column).copied().unwrap_or_default();
            if column == 0 {
                line.push_str(&format!("{cell:<wide$}"));
            } else {
                line.push_str(&format!("  {cell:>wide$}"));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A row of anything that can be shown.
#[macro_export]
macro_rules! row {
    ($($cell:expr),* $(,)?) => { vec![$($cell.to_string()),*] };
}
pub use crate::row;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_say_something() {
        for (number, text) in [
            (0.0, "0.00"),
            (1.234, "1.23"),
            (9.999, "10.0"),
            (99.96, "100"),
            (1_234.5, "1,234"),
            (1_234_567.0, "1,234,567"),
            (-1_234.0, "-1,234"),
            (-0.5, "-0.50"),
        ] {
            assert_eq!(figure(number), text);
        }
        assert_eq!((count(999), count(1_000)), ("999".to_owned(), "1,000".to_owned()));
        assert_eq!((clock(65.2), clock(3_723.0)), ("1:05".to_owned(), "1:02:03".to_owned()));
    }

    #[test]
    fn columns_stand_under_each_other() {
        let rows = [row!["name", "p50"], row!["a long name", 1]];
        assert_eq!(table(&rows), "  name         p50\n  a long name    1\n");
    }
}
