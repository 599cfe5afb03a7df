//! Invoices of a shop: the columns of the "Online Retail" data set, found by their names in the first line.
//!
//! Such files are messy. A line whose quantity or price cannot be read says nothing that could be reconciled: it is
//! counted by its reason. Every other line belongs to an invoice, whatever else is odd about it.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use csv::{ByteRecord, ReaderBuilder};
use flate2::read::MultiGzDecoder;
use jiff::civil::DateTime;

use super::amount::Amount;
use crate::failure::Failure;

/// The most pieces that a line is believed to have.
const MOST_PIECES: i64 = 1_000_000_000;

/// What has been read.
#[derive(Debug, Default)]
pub struct Invoices {
    /// In the order in which they begin in the file.
    pub invoices: Vec<Invoice>,
    /// Lines of the file, without the header.
    pub lines: u64,
    /// Lines of invoices that come after those that were asked for.
    pub beyond: u64,
    /// Lines that cannot be read, by reason.
    pub unreadable: BTreeMap<&'static str, u64>,
}

/// An invoice.
#[derive(Debug, Clone, PartialEq)]
pub struct Invoice {
    /// Its number; one that begins with C takes back what others sold.
    pub number: String,
    /// Whose, when the file knows.
    pub customer: Option<String>,
    /// When, when that can be read.
    pub at: Option<DateTime>,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What; in upper case, since `85123a` and `85123A` are one product.
    pub code: String,
    /// How many pieces; negative when they come back.
    pub quantity: i64,
    /// What a piece costs.
    pub price: Amount,
}

impl Invoice {
    /// True when it takes back what others sold.
    pub fn is_reversal(&self) -> bool {
        self.number.starts_with(['C', 'c'])
    }
}

/// Reads the first so many invoices of a file named .csv or .csv.gz.
pub fn read(path: &Path, most: usize) -> Result<Invoices, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::Other(format!("{}: {why}", path.display()));
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    if !name.ends_with(".csv") && !name.ends_with(".csv.gz") {
        return Err(wrong(&"a file named .csv or .csv.gz is needed"));
    }
    let file = File::open(path).map_err(|error| wrong(&error))?;
    let file = BufReader::with_capacity(64 * 1024, file);
    let read = if name.ends_with(".gz") { parse(MultiGzDecoder::new(file), most) } else { parse(file, most) };
    let read = read.map_err(|error| wrong(&error))?;
    if read.invoices.is_empty() {
        return Err(wrong(&"there is no invoice in it"));
    }
    Ok(read)
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The first line does not name this column.
    #[error(
        "the first line names no column {0}; needed are InvoiceNo, StockCode, Quantity and UnitPrice, and there may be \
         InvoiceDate and CustomerID"
    )]
    NoColumn(&'static str),
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Csv(#[from] csv::Error),
}

struct Columns {
    invoice: usize,
    code: usize,
    quantity: usize,
    price: usize,
    at: Option<usize>,
    customer: Option<usize>,
    count: usize,
}

/// Reads the first so many invoices.
pub fn parse(input: impl Read, most: usize) -> Result<Invoices, FileError> {
    let mut csv = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(input);
    let mut record = ByteRecord::new();
    csv.read_byte_record(&mut record)?;
    let columns = Columns::find(&record)?;
    let mut found = Invoices::default();
    let mut places: HashMap<String, Option<usize>> = HashMap::new();
    while csv.read_byte_record(&mut record)? {
        found.lines += 1;
        let (number, line) = match columns.parse(&record) {
            Ok(parsed) => parsed,
            Err(reason) => {
                *found.unreadable.entry(reason).or_default() += 1;
                continue;
            }
        };
        let invoices = &mut found.invoices;
        let place = places.entry(number).or_insert_with_key(|number| {
            (invoices.len() < most).then(|| {
                invoices.push(Invoice {
                    number: number.clone(),
                    customer: columns.optional(&record, columns.customer).map(str::to_owned),
                    at: columns.optional(&record, columns.at).and_then(moment),
                    lines: Vec::new(),
                });
                invoices.len() - 1
            })
        });
        match place.and_then(|place| invoices.get_mut(place)) {
            Some(invoice) => invoice.lines.push(line),
            None => found.beyond += 1,
        }
    }
    Ok(found)
}

/// `2010-12-01T08:26:00`, `2010-12-01 08:26`, or `12/1/2010 8:26` as the data set's spreadsheet has it.
fn moment(text: &str) -> Option<DateTime> {
    text.parse().ok().or_else(|| {
        ["%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%Y-%m-%d %H:%M"]
            .into_iter()
            .find_map(|format| DateTime::strptime(format, text).ok())
    })
}

impl Columns {
    fn find(header: &ByteRecord) -> Result<Self, FileError> {
        let names: Vec<String> = header
            .iter()
            .map(|name| String::from_utf8_lossy(name).trim_start_matches('\u{feff}').to_lowercase())
            .map(|name| name.chars().filter(char::is_ascii_alphanumeric).collect())
            .collect();
        let find = |wanted: &[&str]| names.iter().position(|name| wanted.contains(&name.as_str()));
        let needed = |shown: &'static str, wanted: &[&str]| find(wanted).ok_or(FileError::NoColumn(shown));
        Ok(Self {
            invoice: needed("InvoiceNo", &["invoiceno", "invoice"])?,
            code: needed("StockCode", &["stockcode"])?,
            quantity: needed("Quantity", &["quantity"])?,
            price: needed("UnitPrice", &["unitprice", "price"])?,
            at: find(&["invoicedate"]),
            customer: find(&["customerid"]),
            count: names.len(),
        })
    }

    fn parse(&self, record: &ByteRecord) -> Result<(String, Line), &'static str> {
        if record.len() != self.count {
            return Err("wrong number of columns");
        }
        let field = |at: usize| text(record, at).ok_or("not UTF-8");
        let number = field(self.invoice)?;
        if number.is_empty() {
            return Err("no invoice number");
        }
        let quantity = Amount::parse(field(self.quantity)?).and_then(Amount::whole);
        let quantity = quantity.ok_or("quantity is not a whole number")?;
        if quantity.abs() > MOST_PIECES {
            return Err("quantity is out of bounds");
        }
        let price = Amount::parse(field(self.price)?).ok_or("price is not a number")?;
        let code = field(self.code)?.to_uppercase();
        Ok((number.to_owned(), Line { code, quantity, price }))
    }

    fn optional<'a>(&self, record: &'a ByteRecord, at: Option<usize>) -> Option<&'a str> {
        at.and_then(|at| text(record, at)).filter(|text| !text.is_empty())
    }
}

fn text(record: &ByteRecord, at: usize) -> Option<&str> {
    std::str::from_utf8(record.get(at)?).ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    const HEADER: &str =
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

    fn invoices(lines: &[&str], most: usize) -> Invoices {
        parse(format!("{HEADER}{}\n", lines.join("\n")).as_bytes(), most).unwrap()
    }

    #[test]
    fn lines_become_invoices_in_the_order_of_the_file() {
        let found = invoices(
            &[
                "1,a,x,2,2010-12-01T08:26:00,2.55,7,UK",
                "2,b,x,1,12/1/2010 9:30,1,,UK",
                "1,c ,\"a \"\"lamp\"\"\",1,2010-12-01T08:26:00,0.001,7,UK",
                "C3,a,x,-2,2010-12-02 08:26,2.55,7,UK",
                "4,a,x,1,never,1,8,UK",
            ],
            3,
        );
        let shape: Vec<_> = found
            .invoices
            .iter()
            .map(|invoice| (invoice.number.as_str(), invoice.customer.as_deref(), invoice.lines.len()))
            .collect();
        assert_eq!(shape, [("1", Some("7"), 2), ("2", None, 1), ("C3", Some("7"), 1)]);
        assert_eq!(found.invoices[0].lines[1].code, "C");
        assert_eq!(found.invoices[1].at.unwrap().to_string(), "2010-12-01T09:30:00");
        assert!(found.invoices[2].is_reversal() && found.invoices[2].at.is_some());
        assert_eq!((found.lines, found.beyond), (5, 1));
    }

    #[test]
    fn what_cannot_be_read_is_counted_by_reason() {
        let found = invoices(
            &[
                "1,a,x",
                ",a,x,1,d,1,7,UK",
                "1,a,x,many,d,1,7,UK",
                "1,a,x,1.5,d,1,7,UK",
                "1,a,x,9999999999,d,1,7,UK",
                "1,a,x,1,d,cheap,7,UK",
                "1,a,x,6.0,d,1,7,UK",
            ],
            9,
        );
        let counts: Vec<_> = found.unreadable.into_iter().collect();
        let expected = [
            ("no invoice number", 1),
            ("price is not a number", 1),
            ("quantity is not a whole number", 2),
            ("quantity is out of bounds", 1),
            ("wrong number of columns", 1),
        ];
        assert_eq!(counts, expected);
        assert_eq!(found.invoices[0].lines[0].quantity, 6);
    }

    #[test]
    fn columns_are_found_by_name_and_two_are_optional() {
        let found = parse("\u{feff}Price,Stock Code,Invoice,Quantity\n1,a,9,2\n".as_bytes(), 9).unwrap();
        assert_eq!(found.invoices[0].lines[0].quantity, 2);
        let error = parse("InvoiceNo,Quantity\n".as_bytes(), 9).unwrap_err().to_string();
        assert!(error.contains("no column StockCode"), "{error}");
        assert!(parse("".as_bytes(), 9).is_err());
    }

    #[test]
    fn what_is_not_such_a_file_is_one_clear_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            File::create(&path).unwrap().write_all(bytes).unwrap();
            read(&path, 9).map(|read| read.invoices.len()).map_err(|failure| failure.to_string())
        };
        let good = format!("{HEADER}1,a,x,2,d,2.55,7,UK\n");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(good.as_bytes()).unwrap();
        let gzip = gzip.finish().unwrap();
        assert_eq!(file("a.csv", good.as_bytes()), Ok(1));
        assert_eq!(file("A.CSV.GZ", &gzip), Ok(1));
        for (name, bytes, expected) in [
            ("a.json", good.as_bytes(), "named .csv or .csv.gz"),
            ("b.csv.gz", good.as_bytes(), "cannot be read"),
            ("c.csv.gz", &gzip[..gzip.len() - 9], "cannot be read"),
            ("d.csv", HEADER.as_bytes(), "no invoice"),
        ] {
            let error = file(name, bytes).unwrap_err();
            assert!(error.contains(expected) && !error.contains('\n'), "{name}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_lost_whatever_it_holds(bytes in proptest::collection::vec(any::<u8>(), 0..400), most in 0usize..4) {
            let mut file = HEADER.as_bytes().to_vec();
            file.extend(&bytes);
            let found = parse(file.as_slice(), most).unwrap();
            let kept: usize = found.invoices.iter().map(|invoice| invoice.lines.len()).sum();
            let unreadable: u64 = found.unreadable.values().sum();
            prop_assert_eq!(found.lines, kept as u64 + unreadable + found.beyond);
            prop_assert!(found.invoices.len() <= most);
        }
    }
}
