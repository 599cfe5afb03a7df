//! Which file it is, by its name, and one clear line when it is not such a file.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use viscount_contracts::Currency;

use super::{
    invoices::{self, InvoicesError},
    json,
    reading::Reading,
};
use crate::failure::Failure;

/// The largest JSON catalogue, which is read at once. Invoice lines are read one by one and may be as many as there are.
const MOST_JSON: u64 = 256 * 1024 * 1024;

/// Reads the products of a file.
pub fn read(path: &Path, currency: Currency) -> Result<Reading, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::Usage(format!("{}: {why}", path.display()));
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (json, gzip) = (name.ends_with(".json"), name.ends_with(".gz"));
    if !json && !name.ends_with(".csv") && !name.ends_with(".csv.gz") {
        return Err(wrong(&"a file named .json, .csv or .csv.gz is needed"));
    }
    let file = File::open(path).map_err(|error| wrong(&reason(&error)))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(wrong(&"is a directory"));
    }
    if json {
        let mut text = String::new();
        let read =
            file.take(MOST_JSON + 1).read_to_string(&mut text).map_err(|error| wrong(&reason(&error)))?;
        if read as u64 > MOST_JSON {
            return Err(wrong(&format!("is larger than {} MiB", MOST_JSON / 1024 / 1024)));
        }
        return json::read(&text, currency)
            .map_err(|error| wrong(&format!("is not a JSON list of products: {error}")));
    }
    let file = BufReader::with_capacity(64 * 1024, file);
    let reading = if gzip {
        invoices::read(MultiGzDecoder::new(file), currency)
    } else {
        invoices::read(file, currency)
    };
    reading.map_err(|error| match error {
        InvoicesError::Csv(error) => match error.into_kind() {
            csv::ErrorKind::Io(error) => wrong(&reason(&error)),
            other => wrong(&format!("is not a CSV file: {other:?}")),
        },
        error => wrong(&error),
    })
}

/// What a person makes of it.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read".to_owned(),
        io::ErrorKind::InvalidData => format!("is not what its name says: {error}"),
        io::ErrorKind::InvalidInput => format!("is not a gzip file: {error}"),
        io::ErrorKind::UnexpectedEof => "ends in the middle".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    const CSV: &str = "StockCode,Description,Quantity,UnitPrice\na,Jar,1,1.00\n";

    fn read_as(name: &str, bytes: &[u8]) -> Result<Reading, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read(&path, Currency::GBP).map_err(|failure| failure.to_string())
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_name_says_what_is_in_it() {
        assert_eq!(read_as("a.csv", CSV.as_bytes()).unwrap().products.len(), 1);
        assert_eq!(read_as("A.CSV.GZ", &gzip(CSV)).unwrap().products.len(), 1);
        assert_eq!(read_as("a.json", b"[]").unwrap().products.len(), 0);
    }

    #[test]
    fn what_is_not_such_a_file_is_one_clear_line() {
        let whole = gzip(CSV);
        let cases: [(&str, &[u8], &str); 8] = [
            ("a.txt", b"", "a file named .json, .csv or .csv.gz is needed"),
            ("a.gz", &whole, "a file named .json, .csv or .csv.gz is needed"),
            ("a.csv.gz", CSV.as_bytes(), "gzip"),
            ("a.csv.gz", &whole[..whole.len() - 9], "ends in the middle"),
            ("a.csv", &whole, "names no column StockCode"),
            ("a.csv", b"", "names no column StockCode"),
            ("a.json", CSV.as_bytes(), "is not a JSON list of products"),
            ("a.json", b"\xff\xfe", "is not what its name says"),
        ];
        for (name, bytes, expected) in cases {
            let error = read_as(name, bytes).unwrap_err();
            assert!(error.contains(expected) && !error.contains('\n'), "{name}: {error}");
        }
        let error = read(Path::new("/nowhere/at/all.json"), Currency::GBP).unwrap_err().to_string();
        assert_eq!(error, "/nowhere/at/all.json: there is no such file");
    }
}
