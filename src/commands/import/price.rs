//! Prices as files write them: decimal text, taken exactly. No float is ever made of it.

use viscount_contracts::{Currency, Money};

/// What can be wrong with a price in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// Not plain decimal digits, with a point at most.
    #[error("price is not a number")]
    NotANumber,
    /// Nothing, or less.
    #[error("price is zero or negative")]
    NotPositive,
    /// A part of a minor unit. Not rounded: a price that is rounded is not the price in the file.
    #[error("price has parts of a minor unit")]
    TooFine,
    /// More than 64 bits of minor units.
    #[error("price is too large")]
    TooLarge,
}

/// How many decimals a currency has (ISO 4217; the few that have not two).
fn decimals(currency: Currency) -> usize {
    match currency.code() {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// The price that the text writes. Zeros behind the last decimal mean nothing; any other digit there is refused.
pub fn parse(text: &str, currency: Currency) -> Result<Money, PriceError> {
    let text = text.trim();
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, part) = digits.split_once('.').map_or((digits, None), |(whole, part)| (whole, Some(part)));
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !part.is_none_or(plain) {
        return Err(PriceError::NotANumber);
    }
    let part = part.unwrap_or_default().trim_end_matches('0');
    if negative || (whole.bytes().all(|byte| byte == b'0') && part.is_empty()) {
        return Err(PriceError::NotPositive);
    }
    let decimals = decimals(currency);
    if part.len() > decimals {
        return Err(PriceError::TooFine);
    }
    format!("{whole}{part:0<decimals$}")
        .parse()
        .map(|minor| Money::new(minor, currency))
        .map_err(|_| PriceError::TooLarge)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pence(text: &str) -> Result<i64, PriceError> {
        parse(text, Currency::GBP).map(Money::amount)
    }

    #[test]
    fn a_price_is_taken_exactly() {
        let good = [
            ("2.55", 255),
            ("109.99", 10_999),
            ("5", 500),
            ("0.1", 10),
            (" 0.29 ", 29),
            ("1.50000", 150),
            ("007.1", 710),
        ];
        for (text, minor) in good {
            assert_eq!(pence(text), Ok(minor), "{text}");
        }
        assert_eq!(pence("92233720368547758.07"), Ok(i64::MAX));
        assert_eq!(pence("92233720368547758.08"), Err(PriceError::TooLarge));
    }

    #[test]
    fn the_currency_says_how_many_decimals_there_are() {
        let minor = |text, code: &str| parse(text, code.parse().unwrap()).map(Money::amount);
        assert_eq!(minor("500", "JPY"), Ok(500));
        assert_eq!(minor("500.5", "JPY"), Err(PriceError::TooFine));
        assert_eq!(minor("1.255", "KWD"), Ok(1255));
        assert_eq!(minor("1.5", "KWD"), Ok(1500));
    }

    #[test]
    fn what_is_no_price_is_refused_and_never_rounded() {
        for text in ["", ".", "1.", ".5", "1,50", "1e2", "+1", "£1", "--1", "1.2.3", "nan", "१"] {
            assert_eq!(pence(text), Err(PriceError::NotANumber), "{text}");
        }
        for text in ["0", "0.00", "-1", "-11062.06", "00.000"] {
            assert_eq!(pence(text), Err(PriceError::NotPositive), "{text}");
        }
        for text in ["0.001", "1.999"] {
            assert_eq!(pence(text), Err(PriceError::TooFine), "{text}");
        }
    }
}
