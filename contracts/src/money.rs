//! Money: minor units and a currency, never a float; every sum is checked.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, Serializer};

use crate::{Quantity, events::common::v1 as proto};

/// Three upper-case letters of ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// Pound sterling.
    pub const GBP: Currency = Currency(*b"GBP");
    /// Euro.
    pub const EUR: Currency = Currency(*b"EUR");
    /// United States dollar.
    pub const USD: Currency = Currency(*b"USD");

    /// The code, such as `GBP`.
    pub fn code(&self) -> &str {
        // The constructor lets only ASCII letters in.
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.as_bytes() {
            &[a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(MoneyError::UnknownCurrency),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// An amount in minor units of one currency. May be negative in ledgers; prices and totals are checked by their owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    amount: i64,
    currency: Currency,
}

/// What can be wrong with money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The sum does not fit in 64 bits.
    #[error("the amount is too large")]
    Overflow,
    /// Two currencies in one sum.
    #[error("the currencies differ")]
    CurrencyMismatch,
    /// Not three upper-case letters.
    #[error("a currency is three upper-case letters of ISO 4217")]
    UnknownCurrency,
}

impl Money {
    /// So many minor units.
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Nothing, in this currency.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// Minor units.
    pub const fn amount(self) -> i64 {
        self.amount
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// True for no money at all.
    pub const fn is_zero(self) -> bool {
        self.amount == 0
    }

    /// The sum of two amounts of one currency.
    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        self.combine(other, i64::checked_add)
    }

    /// The difference of two amounts of one currency.
    pub fn checked_sub(self, other: Money) -> Result<Money, MoneyError> {
        self.combine(other, i64::checked_sub)
    }

    /// The price of so many pieces.
    pub fn times(self, quantity: Quantity) -> Result<Money, MoneyError> {
        let amount = self.amount.checked_mul(i64::from(quantity.get())).ok_or(MoneyError::Overflow)?;
        Ok(Money { amount, ..self })
    }

    fn combine(self, other: Money, sum: impl Fn(i64, i64) -> Option<i64>) -> Result<Money, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch);
        }
        let amount = sum(self.amount, other.amount).ok_or(MoneyError::Overflow)?;
        Ok(Money { amount, ..self })
    }
}

impl fmt::Display for Money {
    /// `19.99 GBP`: for people, with two decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.amount < 0 { "-" } else { "" };
        let minor = self.amount.unsigned_abs();
        write!(f, "{sign}{}.{:02} {}", minor / 100, minor % 100, self.currency)
    }
}

impl From<Money> for proto::Money {
    fn from(money: Money) -> Self {
        proto::Money { amount: money.amount, currency: money.currency.code().to_owned() }
    }
}

impl TryFrom<&proto::Money> for Money {
    type Error = MoneyError;

    fn try_from(money: &proto::Money) -> Result<Self, Self::Error> {
        Ok(Money::new(money.amount, money.currency.parse()?))
    }
}

impl TryFrom<Option<&proto::Money>> for Money {
    type Error = MoneyError;

    fn try_from(money: Option<&proto::Money>) -> Result<Self, Self::Error> {
        money.ok_or(MoneyError::UnknownCurrency)?.try_into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_currency_is_three_upper_case_letters() {
        assert_eq!("GBP".parse::<Currency>().unwrap().code(), "GBP");
        for wrong in ["gbp", "GB", "GBPX", "", "G1P", "£££"] {
            assert!(wrong.parse::<Currency>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn two_currencies_do_not_add_up() {
        let pence = Money::new(1, Currency::GBP);
        assert_eq!(pence.checked_add(Money::new(1, Currency::EUR)), Err(MoneyError::CurrencyMismatch));
    }

    proptest! {
        #[test]
        fn sums_are_exact_or_refused(a: i64, b: i64, pieces in 1i64..=1_000_000) {
            let (x, y) = (Money::new(a, Currency::GBP), Money::new(b, Currency::GBP));
            prop_assert_eq!(x.checked_add(y).ok().map(Money::amount), a.checked_add(b));
            prop_assert_eq!(x.checked_sub(y).ok().map(Money::amount), a.checked_sub(b));
            let times = x.times(Quantity::new(pieces).unwrap());
            prop_assert_eq!(times.ok().map(Money::amount), a.checked_mul(pieces));
        }

        #[test]
        fn protobuf_and_json_bring_the_same_money_back(amount: i64) {
            let money = Money::new(amount, Currency::GBP);
            prop_assert_eq!(Money::try_from(&proto::Money::from(money)).unwrap(), money);
            let json = serde_json::to_string(&money).unwrap();
            prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), money);
        }
    }
}
