//! Invoice lines of a shop, one product made of all lines with its stock code.
//!
//! The columns are those of the "Online Retail" data set: `StockCode`, `Description`, `Quantity`, `UnitPrice` (or
//! `Price`), found by their names in the first line; others are not looked at. Such files are messy. What is decided
//! about them:
//! - A stock code is trimmed and put in upper case: `85123a` and `85123A` are one product.
//! - A product's price and name are those that most of its usable lines have; of two, the one that came first.
//! - A line whose quantity is not positive is a return or a write-off. It says at what price something was taken back
//!   or that it broke (the descriptions are notes such as "damages"), not what it is offered for: it is not used.
//! - A price with parts of a penny is refused, not rounded.
//! - Postage, fees and manual corrections have stock codes too. Nothing in a line tells them from goods, so they
//!   become products like any other.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    io::Read,
};

use csv::{ByteRecord, Position, ReaderBuilder};
use viscount_contracts::{Currency, Money};

use super::{
    price,
    reading::{NewProduct, Reading, Refused},
};

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum InvoicesError {
    /// The first line does not name this column.
    #[error(
        "the first line names no column {0}; expected are StockCode, Description, Quantity and UnitPrice"
    )]
    NoColumn(&'static str),
    /// It cannot be read.
    #[error(transparent)]
    Csv(#[from] csv::Error),
}

/// Where the columns are.
struct Columns {
    code: usize,
    name: usize,
    quantity: usize,
    price: usize,
    count: usize,
}

/// What a line says, when it can be used.
struct Line {
    name: String,
    price: Money,
}

/// What is known of a stock code.
#[derive(Default)]
struct Seen {
    first_line: u64,
    prices: Votes<Money>,
    names: Votes<String>,
    refused: BTreeMap<String, u64>,
}

/// Counts what is seen how often; remembers which came first.
struct Votes<T>(HashMap<T, (u64, u64)>);

/// Reads invoice lines.
pub fn read(input: impl Read, currency: Currency) -> Result<Reading, InvoicesError> {
    let mut csv = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(input);
    let mut record = ByteRecord::new();
    csv.read_byte_record(&mut record)?;
    let columns = Columns::find(&record)?;
    let mut reading = Reading::default();
    let mut codes: HashMap<String, Seen> = HashMap::new();
    let mut order: Vec<String> = Vec::new();
    while csv.read_byte_record(&mut record)? {
        reading.lines += 1;
        let line = record.position().map_or(0, Position::line);
        let code = match columns.code(&record) {
            Ok(code) => code,
            Err(reason) => {
                reading.refuse(line, reason, columns.miscount(&record), text(&record));
                continue;
            }
        };
        let seen = codes.entry(code).or_insert_with_key(|code| {
            order.push(code.clone());
            Seen { first_line: line, ..Seen::default() }
        });
        match columns.parse(&record, currency) {
            Ok(good) => {
                seen.prices.add(good.price, line);
                seen.names.add(good.name, line);
            }
            Err(reason) => {
                *seen.refused.entry(reason.clone()).or_default() += 1;
                reading.refuse(line, reason, None, text(&record));
            }
        }
    }
    for code in order {
        let Some(seen) = codes.remove(&code) else { continue };
        match (seen.names.most(), seen.prices.most()) {
            (Some(name), Some(price)) => reading.keep(seen.first_line, product(code, name, price)),
            _ => reading.unusable.push(seen.unusable(code)),
        }
    }
    Ok(reading)
}

fn product(sku: String, name: String, price: Money) -> NewProduct {
    let (description, category, brand) = (None, None, None);
    NewProduct { sku, name, description, category, brand, price, attributes: BTreeMap::new(), stock: None }
}

impl Columns {
    fn find(header: &ByteRecord) -> Result<Self, InvoicesError> {
        let names: Vec<String> = header
            .iter()
            .map(|name| String::from_utf8_lossy(name).trim_start_matches('\u{feff}').trim().to_lowercase())
            .collect();
        let at = |wanted: &'static str, other: &str| {
            let found = |name: &String| *name == wanted.to_lowercase() || name == other;
            names.iter().position(found).ok_or(InvoicesError::NoColumn(wanted))
        };
        Ok(Self {
            code: at("StockCode", "stock code")?,
            name: at("Description", "description")?,
            quantity: at("Quantity", "quantity")?,
            price: at("UnitPrice", "price")?,
            count: names.len(),
        })
    }

    /// The stock code: without one, nobody knows which product the line is about.
    fn code(&self, record: &ByteRecord) -> Result<String, &'static str> {
        if record.len() != self.count {
            return Err("wrong number of columns");
        }
        if record.iter().any(|field| std::str::from_utf8(field).is_err()) {
            return Err("not UTF-8");
        }
        let code = self.field(record, self.code).to_uppercase();
        if code.is_empty() { Err("no stock code") } else { Ok(code) }
    }

    fn miscount(&self, record: &ByteRecord) -> Option<String> {
        (record.len() != self.count).then(|| format!("{} instead of {}", record.len(), self.count))
    }

    fn parse(&self, record: &ByteRecord, currency: Currency) -> Result<Line, String> {
        let quantity: i64 =
            self.field(record, self.quantity).parse().map_err(|_| "quantity is not a number".to_owned())?;
        if quantity <= 0 {
            return Err("return or write-off".to_owned());
        }
        let name = self.field(record, self.name);
        if name.is_empty() {
            return Err("no description".to_owned());
        }
        let price =
            price::parse(self.field(record, self.price), currency).map_err(|error| error.to_string())?;
        Ok(Line { name: name.to_owned(), price })
    }

    /// A field without the white space around it. [`Columns::code`] has seen that it is there and that it is text.
    fn field<'a>(&self, record: &'a ByteRecord, at: usize) -> &'a str {
        record.get(at).and_then(|field| std::str::from_utf8(field).ok()).unwrap_or_default().trim()
    }
}

impl Seen {
    fn unusable(self, code: String) -> Refused {
        let reasons: Vec<_> =
            self.refused.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        Refused {
            line: self.first_line,
            reason: "no product: none of its lines can be used".into(),
            detail: Some(reasons.join(", ")),
            content: code,
        }
    }
}

impl<T: Eq + Hash> Votes<T> {
    fn add(&mut self, value: T, line: u64) {
        self.0.entry(value).or_insert((0, line)).0 += 1;
    }

    fn most(&self) -> Option<T>
    where
        T: Clone,
    {
        let most = self.0.iter().max_by_key(|(_, (count, first))| (*count, std::cmp::Reverse(*first)));
        most.map(|(value, _)| value.clone())
    }
}

impl<T> Default for Votes<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

/// A line as it may be shown.
fn text(record: &ByteRecord) -> String {
    let fields: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
    fields.join(",")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str =
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

    fn lines(lines: &[&str]) -> Reading {
        read(format!("{HEADER}{}\n", lines.join("\n")).as_bytes(), Currency::GBP).unwrap()
    }

    fn line(code: &str, name: &str, quantity: &str, price: &str) -> String {
        format!("1,{code},{name},{quantity},2010-12-01T08:26:00,{price},17850,United Kingdom")
    }

    #[test]
    fn a_product_has_its_most_usual_price_and_name() {
        let reading = lines(&[
            &line("a1", "RED LAMP", "1", "2.10"),
            &line(" A1 ", "red lamp??", "6", "2.55"),
            &line("A1", "RED LAMP", "2", "2.55"),
            &line("B2", "\"JAR, BLUE\"", "1", "0.5"),
        ]);
        let found: Vec<_> = reading
            .products
            .iter()
            .map(|found| {
                (found.line, &*found.product.sku, &*found.product.name, found.product.price.amount())
            })
            .collect();
        assert_eq!(found, [(2, "A1", "RED LAMP", 255), (5, "B2", "JAR, BLUE", 50)]);
        assert!(reading.refused.is_empty());
        assert_eq!(reading.lines, 4);
    }

    #[test]
    fn of_two_equally_usual_prices_the_first_is_taken() {
        let reading = lines(&[&line("a", "x", "1", "3"), &line("a", "y", "1", "2")]);
        let product = &reading.products[0].product;
        assert_eq!((product.name.as_str(), product.price.amount()), ("x", 300));
    }

    #[test]
    fn lines_that_cannot_be_used_are_refused_with_place_and_reason() {
        let reading = lines(&[
            &line("  ", "x", "1", "1"),
            &line("a", " ", "1", "1"),
            &line("a", "x", "-1", "1"),
            &line("a", "x", "0", "1"),
            &line("a", "x", "many", "1"),
            &line("a", "x", "1", "0.0"),
            &line("a", "x", "1", "-11062.06"),
            &line("a", "x", "1", "cheap"),
            &line("a", "x", "1", "0.001"),
            "1,a,x",
            &line("a", "x", "1", "1,50"),
        ]);
        let refused: Vec<_> =
            reading.refused.iter().map(|refused| (refused.line, refused.reason.as_ref())).collect();
        let expected = [
            (2, "no stock code"),
            (3, "no description"),
            (4, "return or write-off"),
            (5, "return or write-off"),
            (6, "quantity is not a number"),
            (7, "price is zero or negative"),
            (8, "price is zero or negative"),
            (9, "price is not a number"),
            (10, "price has parts of a minor unit"),
            (11, "wrong number of columns"),
            (12, "wrong number of columns"),
        ];
        assert_eq!(refused, expected);
        assert!(reading.products.is_empty());
        let [nothing] = reading.unusable.as_slice() else { panic!("{:?}", reading.unusable) };
        assert_eq!((nothing.line, nothing.content.as_str()), (3, "A"));
        assert!(
            nothing.detail.as_deref().unwrap().starts_with("1 no description, 1 price has parts"),
            "{nothing:?}"
        );
        assert_eq!(reading.reasons()[0], ("price is zero or negative", 2));
    }

    #[test]
    fn bytes_that_are_no_text_cost_one_line() {
        let mut bytes = HEADER.as_bytes().to_vec();
        bytes.extend_from_slice(b"1,a,\xff\xfe,1,d,1.00,1,UK\n1,b,good,1,d,1.00,1,UK\n");
        let reading = read(bytes.as_slice(), Currency::GBP).unwrap();
        assert_eq!((reading.refused[0].line, reading.refused[0].reason.as_ref()), (2, "not UTF-8"));
        assert_eq!(reading.products[0].product.sku, "B");
    }

    #[test]
    fn columns_are_found_by_name() {
        let text = "\u{feff}Price,stockcode,Description,Quantity\r\n2.5,a,Jar,1\r\n";
        let reading = read(text.as_bytes(), Currency::GBP).unwrap();
        assert_eq!(reading.products[0].product.price.amount(), 250);
        let error = read("a,b\n1,2\n".as_bytes(), Currency::GBP).unwrap_err().to_string();
        assert!(error.contains("StockCode"), "{error}");
        assert!(read("".as_bytes(), Currency::GBP).is_err());
    }

    proptest! {
        #[test]
        fn no_line_is_lost_whatever_it_holds(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut file = HEADER.as_bytes().to_vec();
            file.extend(&bytes);
            let reading = read(file.as_slice(), Currency::GBP).unwrap();
            prop_assert!(reading.refused.len() as u64 <= reading.lines);
            prop_assert!(reading.products.iter().all(|found| found.product.price.amount() > 0));
        }

        #[test]
        fn every_line_is_used_or_refused(
            lines_in in proptest::collection::vec(("[abc ]{0,2}", "[xy]{0,2}", -2i64..4, 0i64..300), 0..60)
        ) {
            let text: Vec<_> = lines_in
                .iter()
                .map(|(code, name, quantity, pence)| line(code, name, &quantity.to_string(), &format!("{}.{:02}", pence / 100, pence % 100)))
                .collect();
            let text: Vec<_> = text.iter().map(String::as_str).collect();
            let reading = lines(&text);
            let usable = |(code, name, quantity, pence): &&(String, String, i64, i64)|
                !code.trim().is_empty() && !name.is_empty() && *quantity > 0 && *pence > 0;
            let used = lines_in.iter().filter(usable).count();
            prop_assert_eq!(reading.refused.len() + used, lines_in.len());
            let codes: std::collections::BTreeSet<_> =
                lines_in.iter().map(|line| line.0.trim().to_uppercase()).filter(|code| !code.is_empty()).collect();
            prop_assert_eq!(reading.products.len() + reading.unusable.len(), codes.len());
        }
    }
}
