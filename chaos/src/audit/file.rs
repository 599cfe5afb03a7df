//! A [`Dataset`] as a file: one JSON object per line, compressed.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
};

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::dataset::{
    AvailabilityRow, ChargeRow, Dataset, Event, Handled, KeyRow, Letter, Log, MovementRow, OpenCallRow,
    OrderRow, PaymentRow, PostingRow, PriceRow, ProductRow, Record, RefundRow, ReservationRow, ReturnRow,
    StockRow, TopicShape,
};
use super::verdict::Terms;
use crate::history;

/// A data set that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file, or its compression.
    #[error("the data set: {0}")]
    Io(#[from] io::Error),
    /// A line that is none of a data set.
    #[error("line {line} of the data set: {error}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

macro_rules! rows {
    ($($variant:ident($row:ty): $field:ident),* $(,)?) => {
        /// A line of the file.
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Row {
            CollectedAt(Timestamp),
            Terms(Terms),
            $($variant($row),)*
        }

        /// The same, borrowed.
        #[derive(Serialize)]
        #[serde(rename_all = "snake_case")]
        enum RowRef<'a> {
            CollectedAt(Timestamp),
            Terms(Terms),
            $($variant(&'a $row),)*
        }

        impl Dataset {
            fn each(&self, mut write: impl FnMut(RowRef<'_>) -> io::Result<()>) -> io::Result<()> {
                if let Some(at) = self.collected_at {
                    write(RowRef::CollectedAt(at))?;
                }
                if let Some(terms) = self.terms {
                    write(RowRef::Terms(terms))?;
                }
                $(for row in &self.$field {
                    write(RowRef::$variant(row))?;
                })*
                Ok(())
            }

            fn push(&mut self, row: Row) {
                match row {
                    Row::CollectedAt(at) => self.collected_at = Some(at),
                    Row::Terms(terms) => self.terms = Some(terms),
                    $(Row::$variant(row) => self.$field.push(row),)*
                }
            }
        }
    };
}

rows! {
    Log(Log): logs,
    Event(Event): events,
    Topic(TopicShape): topics,
    Record(Record): records,
    Handled(Handled): handled,
    Letter(Letter): letters,
    Key(KeyRow): keys,
    Order(OrderRow): orders,
    Price(PriceRow): prices,
    Stock(StockRow): stock,
    Movement(MovementRow): movements,
    Reservation(ReservationRow): reservations,
    Payment(PaymentRow): payments,
    Refund(RefundRow): refunds,
    Posting(PostingRow): ledger,
    OpenCall(OpenCallRow): open_calls,
    Product(ProductRow): products,
    Availability(AvailabilityRow): availability,
    Charge(ChargeRow): charges,
    Return(ReturnRow): returns,
    History(history::Line): history,
}

impl Dataset {
    /// Writes it to `path`, which is made anew.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        self.write_to(BufWriter::new(File::create(path)?), Compression::fast())
    }

    /// Writes it, compressed so well.
    pub fn write_to(&self, target: impl Write, level: Compression) -> Result<(), FileError> {
        let mut target = BufWriter::with_capacity(1 << 16, GzEncoder::new(target, level));
        self.each(|row| {
            serde_json::to_writer(&mut target, &row)?;
            target.write_all(b"\n")
        })?;
        let encoder = target.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(encoder.finish()?.flush()?)
    }

    /// Reads it from `path`.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Self::read_from(File::open(path)?)
    }

    /// Reads it from compressed bytes.
    pub fn read_from(source: impl Read) -> Result<Self, FileError> {
        let mut lines = BufReader::with_capacity(1 << 16, MultiGzDecoder::new(BufReader::new(source)));
        let (mut found, mut line) = (Self::default(), String::new());
        for number in 1.. {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                break;
            }
            found.push(serde_json::from_str(&line).map_err(|error| FileError::Line { line: number, error })?);
        }
        // Names of kinds are borrowed from the contracts, not kept once for each event.
        for event in &mut found.events {
            event.kind = event.service.kind_named(&event.kind);
        }
        for record in &mut found.records {
            record.kind = record.topic.kind_named(&record.kind);
        }
        Ok(found)
    }
}
