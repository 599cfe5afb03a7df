//! The values that a product is made of: once they exist, they are right.
//!
//! Lengths count characters, not bytes. White space around a one-line text means nothing and is taken off; otherwise
//! a text is kept as it came, in whatever script and normal form. Control characters are refused: nobody typed them,
//! PostgreSQL cannot store one of them (NUL), and the others end up in somebody's label printer.

use std::{collections::BTreeMap, fmt};

use viscount_contracts::{Currency, Money};

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Nothing there.
    #[error("must not be empty")]
    Empty,
    /// Too many characters.
    #[error("must have at most {max} characters")]
    TooLong {
        /// How many there may be.
        max: usize,
    },
    /// A control character.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// Free of charge, negative, or absurd.
    #[error("must be from 1 to {max} minor units", max = Price::MAX)]
    PriceOutOfRange,
    /// Money that this shop does not take.
    #[error("must be {shop}, the currency of this shop")]
    ForeignCurrency {
        /// What it takes.
        shop: Currency,
    },
    /// Too many attributes.
    #[error("must have at most {max} entries")]
    TooManyEntries {
        /// How many there may be.
        max: usize,
    },
    /// An attribute's name is not usable.
    #[error("the name of an entry {0}")]
    EntryName(Box<ValueError>),
    /// An attribute's value is not usable.
    #[error("{1}")]
    EntryValue(String, Box<ValueError>),
}

/// One line of text of 1 to `max` characters, without white space around it.
fn line(text: &str, max: usize) -> Result<String, ValueError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ValueError::Empty);
    }
    if text.chars().any(char::is_control) {
        return Err(ValueError::ControlCharacter);
    }
    at_most(text, max)?;
    Ok(text.to_owned())
}

fn at_most(text: &str, max: usize) -> Result<(), ValueError> {
    // A character takes at least one byte: short texts need not be counted.
    if text.len() > max && text.chars().count() > max {
        return Err(ValueError::TooLong { max });
    }
    Ok(())
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $max:literal, $parse:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// The most characters it may have.
            pub const MAX: usize = $max;

            /// Checks the text.
            pub fn new(text: &str) -> Result<Self, ValueError> {
                let parse: fn(&str, usize) -> Result<String, ValueError> = $parse;
                parse(text, Self::MAX).map(Self)
            }

            /// Takes a text that was checked when it was stored; rules may have become stricter since.
            pub fn stored(text: String) -> Self {
                Self(text)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// The shop's own number for a product. One product has it, for ever: also when that product is archived, so that
    /// old orders and reports stay unambiguous.
    Sku, 64, line
);
text!(
    /// What the product is called.
    Name, 200, line
);
text!(
    /// A category or a brand.
    Label, 100, line
);
text!(
    /// Running text. Line breaks and tabs are fine.
    Description, 10_000, |text, max| {
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(ValueError::ControlCharacter);
        }
        at_most(text, max)?;
        if text.is_empty() { Err(ValueError::Empty) } else { Ok(text.to_owned()) }
    }
);

/// What one piece costs: more than nothing, at most [`Price::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price(Money);

impl Price {
    /// The highest price in minor units. A million pieces of it still fit into 64 bits.
    pub const MAX: i64 = 1_000_000_000_000;

    /// Checks a price against the range and the shop's currency.
    pub fn new(money: Money, shop: Currency) -> Result<Self, ValueError> {
        if money.currency() != shop {
            return Err(ValueError::ForeignCurrency { shop });
        }
        if !(1..=Self::MAX).contains(&money.amount()) {
            return Err(ValueError::PriceOutOfRange);
        }
        Ok(Self(money))
    }

    /// Takes a price that was checked when it was stored.
    pub const fn stored(money: Money) -> Self {
        Self(money)
    }

    /// The money.
    pub const fn money(self) -> Money {
        self.0
    }
}

/// Whatever else there is to know: colour, size, material.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes(BTreeMap<String, String>);

impl Attributes {
    /// The most entries.
    pub const MAX: usize = 50;
    /// The most characters of an entry's name.
    pub const MAX_NAME: usize = 100;
    /// The most characters of an entry's value.
    pub const MAX_VALUE: usize = 500;

    /// Checks names and values.
    pub fn new(entries: BTreeMap<String, String>) -> Result<Self, ValueError> {
        if entries.len() > Self::MAX {
            return Err(ValueError::TooManyEntries { max: Self::MAX });
        }
        for (name, value) in &entries {
            line(name, Self::MAX_NAME).map_err(|error| ValueError::EntryName(Box::new(error)))?;
            let refused = |error| ValueError::EntryValue(name.clone(), Box::new(error));
            if value.chars().any(char::is_control) {
                return Err(refused(ValueError::ControlCharacter));
            }
            at_most(value, Self::MAX_VALUE).map_err(refused)?;
        }
        Ok(Self(entries))
    }

    /// Takes attributes that were checked when they were stored.
    pub fn stored(entries: BTreeMap<String, String>) -> Self {
        Self(entries)
    }

    /// Names and values, to keep.
    pub fn into_entries(self) -> BTreeMap<String, String> {
        self.0
    }

    /// Names and values.
    pub fn entries(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}
