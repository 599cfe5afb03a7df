//! Money as files write it, exactly: millionths of a currency's unit, summed in 128 bits.
//!
//! Invoices hold prices with parts of a penny now and then (0.001). The platform's money is minor units. In millionths
//! both are whole, so that a reconciliation can come out at exactly zero.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign, Neg, Sub},
};

use viscount_contracts::{Currency, Money};

/// Digits behind the point that are kept.
const DIGITS: u32 = 6;
/// Millionths in a unit.
const UNIT: i128 = 10_i128.pow(DIGITS);
/// The most digits before the point: far more than any price, far less than what could overflow a sum.
const MOST_DIGITS: usize = 12;

/// An amount of money, positive or negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i128);

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(0);

    /// Decimal text such as `2.55` or `-11062.06`; `None` when it is not plain decimal digits, or too fine or too large.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !plain(whole) || !plain(part) || (whole.is_empty() && part.is_empty()) || whole.len() > MOST_DIGITS
        {
            return None;
        }
        let part = part.trim_end_matches('0');
        if part.len() > DIGITS as usize {
            return None;
        }
        let value: i128 = format!("{whole}{part:0<width$}", width = DIGITS as usize).parse().ok()?;
        Some(Self(if negative { -value } else { value }))
    }

    /// What the platform says.
    pub fn of(money: Money) -> Self {
        Self(i128::from(money.amount()) * (UNIT / 10_i128.pow(decimals(money.currency()))))
    }

    /// So many times as much.
    pub fn times(self, pieces: i64) -> Self {
        Self(self.0 * i128::from(pieces))
    }

    /// The whole number that it is, if it is one.
    pub fn whole(self) -> Option<i64> {
        (self.0 % UNIT == 0).then(|| i64::try_from(self.0 / UNIT).ok()).flatten()
    }
}

/// How many decimals a currency has (ISO 4217; the few that have not two).
fn decimals(currency: Currency) -> u32 {
    match currency.code() {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// With a comma at each thousand, two decimals, and more only where there are more.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.unsigned_abs();
        let part = format!("{:06}", value % UNIT.unsigned_abs());
        let fine = part.trim_end_matches('0').len().max(2);
        let sign = if self.0 < 0 { "-" } else { "" };
        let text = format!("{sign}{}.{}", grouped(value / UNIT.unsigned_abs()), &part[..fine]);
        f.pad(&text)
    }
}

/// With a comma at each thousand.
pub fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Add for Amount {
    type Output = Amount;
    fn add(self, other: Amount) -> Amount {
        Amount(self.0 + other.0)
    }
}

impl Sub for Amount {
    type Output = Amount;
    fn sub(self, other: Amount) -> Amount {
        Amount(self.0 - other.0)
    }
}

impl Neg for Amount {
    type Output = Amount;
    fn neg(self) -> Amount {
        Amount(-self.0)
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.0 += other.0;
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Amount>>(amounts: I) -> Amount {
        amounts.fold(Amount::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_taken_exactly_or_not_at_all() {
        for (text, shown) in [
            ("2.55", "2.55"),
            (" -11062.06 ", "-11,062.06"),
            ("0.001", "0.001"),
            ("0.0", "0.00"),
            (".5", "0.50"),
            ("5.", "5.00"),
            ("+7", "7.00"),
            ("1.5000000000", "1.50"),
            ("123456789012", "123,456,789,012.00"),
        ] {
            assert_eq!(Amount::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for text in
            ["", "-", ".", "1,50", "1e3", "£1", "--1", "1.2.3", "nan", "0.0000001", "1234567890123", "٣"]
        {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }

    #[test]
    fn minor_units_are_those_of_the_currency() {
        let of = |amount, code: &str| Amount::of(Money::new(amount, code.parse().unwrap())).to_string();
        assert_eq!(of(1999, "GBP"), "19.99");
        assert_eq!(of(1999, "JPY"), "1,999.00");
        assert_eq!(of(-1999, "KWD"), "-1.999");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_what_was_read(millionths in -10_i128.pow(15)..10_i128.pow(15)) {
            let amount = Amount(millionths);
            prop_assert_eq!(Amount::parse(&amount.to_string().replace(',', "")), Some(amount));
        }
    }
}
